"""Checks the operator's templates, and that text messages fit into one segment: in
`manage.py check --deploy`, and at the start of a worker, whose log has what is found.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.template import TemplateSyntaxError
from django.template.engine import Engine

from domain.model.language import SUPPORTED
from workers.messages.drafts import Draft, samples
from workers.messages.gsm7 import count_segments, is_gsm7
from workers.messages.rendering import OWN_TEMPLATES, build

TAG = "messages"
_NAME = "<u>Ada</u>"
_PAGE = "confirm_email.html"  # which the write process renders
_LIBRARIES = {"i18n": "django.templatetags.i18n", "static": "django.templatetags.static"}
# Characters of service name and host with which Rollcall's own text messages fit in every language.
ALWAYS_FITS = 27


@checks.register(TAG, deploy=True)
def check_messages(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Renders every message in every language with sample data."""
    folder = settings.MESSAGE_TEMPLATES
    if not folder and len(settings.SERVICE_NAME) + len(settings.SMS_DOMAIN) <= ALWAYS_FITS:
        return []
    found = [*_check_names(folder), *_check_pages(folder)] if folder else []
    for language in SUPPORTED:
        for draft in samples(settings, _NAME):
            found += check_draft(folder, language, draft)
    return found


def check_draft(folder: Path | None, language: str, draft: Draft) -> Iterator[checks.CheckMessage]:
    """Renders one message in a language; yields what is wrong with it."""
    channel = "text message" if draft.channel == "phone" else "e-mail"
    subject = f"the {channel} {draft.kind} in {language}"
    try:
        message = build(folder, language, draft)
    except Exception as error:  # noqa: BLE001  # a template may raise anything
        # With its text: of sample data, not of a person's.
        reason = f"{type(error).__name__}: {error}"
        yield checks.Error(
            f"MESSAGE_TEMPLATES: {subject} cannot be rendered, so Rollcall's own is sent: {reason}",
            id="messages.E001",
        )
        return
    if _NAME in message.html:
        yield checks.Error(
            f"MESSAGE_TEMPLATES: {subject} has the name without escaping it.", id="messages.E002"
        )
    if draft.channel == "phone":
        level = checks.WARNING if folder else checks.INFO
        yield from _check_segments(subject, message.text, level)


def _check_segments(subject: str, text: str, level: int) -> Iterator[checks.CheckMessage]:
    if (segments := count_segments(text)) > 1:
        alphabet = "GSM 7-bit" if is_gsm7(text) else "UCS-2"
        yield checks.CheckMessage(
            level,
            f"{subject[0].upper()}{subject[1:]} needs {segments} segments"
            f" ({len(text)} characters, {alphabet}).",
            hint="Shorten SERVICE_NAME, SMS_DOMAIN, or the template in MESSAGE_TEMPLATES.",
            id="messages.W001",
        )


def _check_names(folder: Path) -> Iterator[checks.CheckMessage]:
    """Warns of files that are no template of a message, such as one with a misspelled name.

    Others may be included: their names begin with an underscore.
    """
    names = {_PAGE, *(path.name for path in OWN_TEMPLATES.iterdir())}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_known = parts[-1] in names and (len(parts) == 1 or parts[:-1] in _LANGUAGE_FOLDERS)
        if path.is_file() and not is_known and not parts[-1].startswith(("_", ".")):
            yield checks.Warning(
                f"MESSAGE_TEMPLATES: {'/'.join(parts)} is the template of no message.",
                id="messages.W002",
            )


def _check_pages(folder: Path) -> Iterator[checks.CheckMessage]:
    """Parses the operator's confirmation pages."""
    for path in sorted(folder.rglob(_PAGE)):
        try:
            Engine(builtins=["django.templatetags.i18n"], libraries=_LIBRARIES).from_string(
                path.read_text()
            )
        except TemplateSyntaxError as error:
            name = path.relative_to(folder)
            yield checks.Error(
                f"MESSAGE_TEMPLATES: {name} is malformed: {error}", id="messages.E001"
            )


_LANGUAGE_FOLDERS = {(language,) for language in SUPPORTED}
