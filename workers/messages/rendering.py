"""Renders messages in a language, from Django's templates: those of the operator's folder
`MESSAGE_TEMPLATES`, or else those beside this module.

    <kind>.subject.txt, <kind>.txt, <kind>.html   an e-mail
    <kind>.sms.txt                                a text message, without its last line

A template `de/<kind>.txt` is preferred for German. HTML is escaped by Django, plain text is not.
"""

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import structlog
from django.template import Context
from django.template.engine import Engine
from django.utils import translation

from domain.model.errors import RollcallError
from domain.model.language import SUPPORTED
from workers.messages.drafts import Draft
from workers.messages.gsm7 import (
    SEGMENT_SEPTETS,
    count_segments,
    count_septets,
    is_gsm7,
    remove_accents,
    to_gsm7,
)
from workers.messages.message import Message
from workers.messages.plain_text import isolate, strip_controls

log = structlog.get_logger(__name__)

OWN_TEMPLATES = Path(__file__).parent / "templates"
_MAX_SMS_SERVICE = 20  # characters of the service's name in a text message


class IncompleteMessage(RollcallError):
    """A template does not show the code or the link."""

    code = "code_or_link_missing"


def render(settings: Any, language: str | None, draft: Draft) -> Message:
    """Renders a message in a language (None: the default one).

    If a template of the operator fails, Rollcall's own are used, and the log says so: the message
    is not lost. Not with the text of the error, which may have what is in the message.
    """
    language = language if language in SUPPORTED else settings.DEFAULT_LANGUAGE
    if settings.MESSAGE_TEMPLATES:
        try:
            return build(settings.MESSAGE_TEMPLATES, language, draft)
        except Exception as error:  # noqa: BLE001  # a template may raise anything
            error_type = type(error).__name__
            log.error(
                "message_template_failed",
                kind=draft.kind, channel=draft.channel, language=language, error_type=error_type,
            )  # fmt: skip  # one line of the log
    return build(None, language, draft)


def build(folder: Path | None, language: str, draft: Draft) -> Message:
    """Renders a message from the templates of a folder, and Rollcall's own for those that it lacks.

    Raises `IncompleteMessage`, and whatever a template raises.
    """
    with translation.override(language):
        if draft.channel == "email":
            message = _build_email(folder, draft)
        else:
            text = f"{_fit_segment(folder, draft)}{draft.last_line}"
            message = Message("phone", draft.to, "", text, "", draft.code)
    _check_completeness(draft, message)
    return message


def forget_templates() -> None:
    """Has templates read again, where they may have changed: in the preview."""
    _get_engine.cache_clear()


def _build_email(folder: Path | None, draft: Draft) -> Message:
    is_rtl = translation.get_language_bidi()
    context = draft.context
    plain = {
        name: isolate(value, is_rtl=is_rtl) if isinstance(value, str) else value
        for name, value in context.items()
    }
    subject = strip_controls(_render(folder, f"{draft.kind}.subject.txt", plain))
    text = _render(folder, f"{draft.kind}.txt", plain).strip()
    html = _render(folder, f"{draft.kind}.html", {**context, "subject": subject})
    text = re.sub(r"\n{3,}", "\n\n", text)
    return Message("email", draft.to, subject, f"{text}\n", html, draft.code, draft.link)


def _fit_segment(folder: Path | None, draft: Draft) -> str:
    """Returns a text message on one line, in one segment together with its last line if possible.

    The name is truncated to fit, or left out if the GSM alphabet cannot spell it or the language
    needs another one. The template then leaves the explanations out (`brief`), never the code.
    """
    service = draft.context["service"]
    context = {**draft.context, "service": to_gsm7(service, _MAX_SMS_SERVICE), "name": ""}

    def render_line(**changes: Any) -> str:
        text = _render(folder, f"{draft.kind}.sms.txt", context | changes)
        text = " ".join(text.split())
        simple = remove_accents(text)
        return simple if is_gsm7(simple) else text

    def fits(line: str) -> bool:
        return count_segments(line + draft.last_line) == 1

    line = render_line()
    if not is_gsm7(line):
        context["service"] = service[:_MAX_SMS_SERVICE]
        line = render_line()
    elif name := draft.context.get("name"):
        rest = count_septets(render_line(name="x") + draft.last_line) - 1
        if shown := to_gsm7(name, SEGMENT_SEPTETS - rest):
            line = render_line(name=shown)
    return line if fits(line) else render_line(brief=True)


def _check_completeness(draft: Draft, message: Message) -> None:
    context = draft.context
    for required in filter(None, (context.get("code"), context.get("link"))):
        if required not in message.text:
            raise IncompleteMessage
        if draft.channel == "email" and escape(required) not in message.html:
            raise IncompleteMessage


def _render(folder: Path | None, name: str, context: Mapping[str, Any]) -> str:
    engine = _get_engine(folder, is_html=name.endswith(".html"))
    template = engine.select_template([f"{translation.get_language()}/{name}", name])
    return template.render(Context(dict(context), autoescape=engine.autoescape))


@cache
def _get_engine(folder: Path | None, *, is_html: bool) -> Engine:
    """Returns the engine of a folder, which parses each template once."""
    return Engine(
        dirs=[str(each) for each in (folder, OWN_TEMPLATES) if each],
        autoescape=is_html,
        builtins=["django.templatetags.i18n"],
    )
