"""Templates of the operator: what they may change, and what happens if they are broken."""

from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tests.support.client import ApiClient, wait_until
from tests.support.workers import replaceable_worker
from tests.workers.messages.test_texts import make_settings, render
from workers.messages import drafts
from workers.messages.message import Message

pytestmark = pytest.mark.usefixtures("django_setup")


def write(folder: Path, **templates: str) -> Path:
    """Writes templates, whose names have two underscores for a dot, and three for a slash."""
    for name, text in templates.items():
        path = folder / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def confirmation(folder: Path, language: str = "en", name: str = "Ada") -> Message:
    from workers.messages import rendering

    rendering.forget_templates()
    settings = make_settings(MESSAGE_TEMPLATES=folder)
    draft = drafts.confirmation_email(
        settings, to="ada@example.org", name=name, code="731964", link_token="AbC-_9"
    )
    return render(draft, language, settings)


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[Any]:
    """Returns what the check finds."""
    from workers.messages import checks, rendering

    rendering.forget_templates()
    monkeypatch.setattr(checks, "settings", make_settings(MESSAGE_TEMPLATES=folder, **settings))
    return [(found.id, found.msg) for found in checks.check_messages()]


TEXT = "{{ service }}: {{ name }}, {{ code }}, {{ link }}"
LINK = "https://rollcall.test/confirm/email/#AbC-_9"


def test_template_of_the_operator_replaces_ours_alone(tmp_path: Path, monkeypatch):
    write(tmp_path, confirmation__txt=f"Hello. {TEXT}")
    message = confirmation(tmp_path, name="<Ada> & Co")
    assert message.text == f"Hello. Rollcall: <Ada> & Co, 731964, {LINK}\n"
    assert message.subject == "Confirm your e-mail address for Rollcall"
    assert "&lt;Ada&gt; &amp; Co" in message.html
    assert check(tmp_path, monkeypatch) == []


def test_template_of_a_language_is_preferred_and_others_translate(tmp_path: Path, monkeypatch):
    line = '{% translate "This page needs JavaScript." %}{% translate "Try again" %}'
    write(tmp_path, confirmation__txt=f"{line} {TEXT}", de___confirmation__txt=f"Moin. {TEXT}")
    assert confirmation(tmp_path, "de").text.startswith("Moin.")
    assert confirmation(tmp_path, "fr").text.startswith("This page needs JavaScript.Réessayer")
    assert check(tmp_path, monkeypatch) == []


def test_layout_of_all_e_mails_is_one_template(tmp_path: Path):
    write(tmp_path, base__html="<html><b>Acme</b>{% block content %}{% endblock %}</html>")
    message = confirmation(tmp_path, name="<i>")
    assert message.html.startswith("<html><b>Acme</b>")
    assert "&lt;i&gt;" in message.html
    assert LINK in message.html


BROKEN = {
    "a wrong tag": "{% nonsense %}",
    "a missing include": f'{{% include "missing.txt" %}} {TEXT}',
    "an unknown filter": "{{ code|nonsense }}",
    "no code": "{{ link }}",
    "a wrong code": "{{ code|slice:':3' }} {{ link }}",
    "no link": "{{ code }}",
    "an error while it is rendered": "{{ code }}{{ link }}{% widthratio 1 code 0 as x %}"
    "{% include link %}",
}


@pytest.mark.parametrize("template", BROKEN.values(), ids=BROKEN)
def test_broken_template_is_reported_and_the_message_is_sent_with_ours(
    tmp_path: Path, monkeypatch, capsys, template
):
    write(tmp_path, confirmation__txt=template)
    assert confirmation(tmp_path) == confirmation(tmp_path / "none")
    captured = capsys.readouterr()
    assert "731964" not in captured.out + captured.err
    found = check(tmp_path, monkeypatch)
    assert {each for each, _ in found} == {"messages.E001"}
    assert "MESSAGE_TEMPLATES: the e-mail confirmation in en" in found[0][1]


def test_check_finds_what_is_wrong_without_being_broken(tmp_path: Path, monkeypatch):
    write(
        tmp_path,
        confirmation__html="{{ name|safe }} {{ code }} {{ link }}",
        sign_in_code__sms__txt="{{ code }}" + " and so on" * 16,
        confirmaton__txt="",
        de___subject__txt="",
        _footer__txt="",
    )
    found = check(tmp_path, monkeypatch)
    assert [each for each in found if each[0] == "messages.W002"] == [
        ("messages.W002", "MESSAGE_TEMPLATES: confirmaton.txt is the template of no message."),
        ("messages.W002", "MESSAGE_TEMPLATES: de/subject.txt is the template of no message."),
    ]
    others = [each for each in found if each[0] != "messages.W002"]
    assert others[0] == (
        "messages.E002",
        "MESSAGE_TEMPLATES: the e-mail confirmation in en has the name without escaping it.",
    )
    segments = "The text message sign_in_code in en needs 2 segments (190 characters, GSM 7-bit)."
    assert ("messages.W001", segments) in others


def test_check_finds_a_malformed_confirmation_page(tmp_path: Path, monkeypatch):
    write(
        tmp_path,
        confirm_email__html="{% load static %}{{ service }}",
        de___confirm_email__html="{% if %}",
    )
    ((code, text),) = check(tmp_path, monkeypatch)
    assert code == "messages.E001"
    assert text.startswith("MESSAGE_TEMPLATES: de/confirm_email.html is malformed: ")


def test_check_says_which_text_messages_need_two_segments(monkeypatch):
    service = "A service with a name"
    found = check(None, monkeypatch, SERVICE_NAME=service)  # type: ignore[arg-type]  # no folder
    assert found
    for code, text in found:
        assert code == "messages.W001"
        assert " in ar needs 2 segments" in text


def test_worker_reports_a_broken_template_at_its_start_and_loses_no_message(
    stack: Stack, api: ApiClient, tmp_path: Path
):
    write(tmp_path, confirmation__subject__txt="{% nonsense %}", sign_in_code__txt="Hi {{ code }}")
    log = stack.data_dir / "logs" / "replaced-worker.log"
    with replaceable_worker(stack) as use:
        use(MESSAGE_TEMPLATES=str(tmp_path))
        person = api.sign_up(locale="de")
        message = person.message("email")
        assert message["subject"] == "Bestätigen Sie Ihre E-Mail-Adresse für Rollcall"
        wait_until(lambda: "message_template_failed" in log.read_text())
        assert person.confirm("email", message["code"]).status_code == 200
        person.request_code("email")
        code = person.message("email")["code"]
        assert person.message("email")["text"] == f"Hi {code}\n"
    text = log.read_text()
    assert "MESSAGE_TEMPLATES: the e-mail confirmation in en cannot be rendered" in text
    assert message["code"] not in text
