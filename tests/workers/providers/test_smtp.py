"""E-mail through an SMTP server."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.fake_smtp import DROP, HANG, FakeSmtp, closed_port
from tests.workers.providers.test_sdks import EMAIL, SECRETS
from workers.messages.message import Message
from workers.providers.base import PermanentFailure, SendError, TemporaryFailure
from workers.providers.smtp import Smtp


@pytest.fixture
def send(monkeypatch):
    """Sends a message to a fake server; returns its id."""

    def _send(server: FakeSmtp, message: Message = EMAIL, deadline: float = 5.0, **settings: Any):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        values: dict[str, Any] = {
            "SMTP_HOST": "localhost",
            "SMTP_PORT": server.port,
            "SMTP_SECURITY": "starttls",
            "SMTP_USER": "user",
            "SMTP_PASSWORD": "api-secret",
            "EMAIL_FROM": "no-reply@rollcall.test",
            "SERVICE_NAME": "Rollcall",
            "PROVIDER_TIMEOUT": 2.0,
        }
        return Smtp(SimpleNamespace(**values | settings), deadline).send(message, "reference-1")

    return _send


def get_failure(send, server: FakeSmtp, **options: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        send(server, **options)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any(secret in str(error) for error in chain for secret in SECRETS)
    return caught.value


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_arrives_over_tls_with_text_and_html(send, security: str):
    with FakeSmtp(tls=security == "tls") as server:
        message_id = send(server, SMTP_SECURITY=security)
        (mail,) = server.mails
    assert message_id == mail["Message-ID"] == "<reference-1@rollcall.test>"
    assert (mail["From"], mail["To"]) == ("Rollcall <no-reply@rollcall.test>", EMAIL.to)
    assert mail["Subject"] == EMAIL.subject
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert text.get_content().strip() == EMAIL.text
    assert html is not None
    assert html.get_content().strip() == EMAIL.html
    assert "AUTH" in server.commands


def test_mail_on_this_machine_needs_neither_tls_nor_user(send):
    with FakeSmtp(extensions=()) as server:
        send(server, SMTP_SECURITY="none", SMTP_USER="")
        assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("replies", "failure_type", "code"),
    [
        ({"RCPT": "550 secret.person is unknown"}, PermanentFailure, "rejected"),
        ({"RCPT": "450 try later"}, TemporaryFailure, "provider_error"),
        ({".": "554 spam: 731964"}, PermanentFailure, "rejected"),
        ({".": "451 busy"}, TemporaryFailure, "provider_error"),
        ({"AUTH": "535 wrong password"}, TemporaryFailure, "authentication_failed"),
        ({"MAIL": DROP}, TemporaryFailure, "connection_lost"),
        ({".": DROP}, TemporaryFailure, "connection_lost"),
        ({"MAIL": HANG}, TemporaryFailure, "timeout"),
    ],
)
def test_reply_is_classified_as_temporary_or_permanent(send, replies, failure_type, code: str):
    with FakeSmtp(replies) as server:
        failure = get_failure(send, server, PROVIDER_TIMEOUT=0.5)
    assert (type(failure), failure.code) == (failure_type, code)


def test_server_without_tls_gets_no_mail(send):
    with FakeSmtp(extensions=("AUTH PLAIN",)) as server:
        failure = get_failure(send, server)
        assert server.mails == []
    assert (type(failure), failure.code) == (TemporaryFailure, "misconfigured")


def test_certificate_of_another_host_is_refused(send):
    with FakeSmtp() as server, FakeSmtp() as other:
        server.ca_file = other.ca_file
        failure = get_failure(send, server)
        assert (type(failure), failure.code) == (TemporaryFailure, "connect_failed")
        assert server.mails == []


def test_unreachable_server_is_a_temporary_failure(send):
    with FakeSmtp() as server:
        failure = get_failure(send, server, SMTP_PORT=closed_port())
    assert (type(failure), failure.code) == (TemporaryFailure, "connect_failed")


def test_lost_goodbye_does_not_send_the_mail_again(send):
    with FakeSmtp({"QUIT": DROP}) as server:
        assert send(server)
        assert len(server.mails) == 1


def test_silent_server_fails_at_the_deadline(send):
    with FakeSmtp({".": HANG}) as server:
        started_at = time.monotonic()
        failure = get_failure(send, server, PROVIDER_TIMEOUT=20, deadline=0.5)
        assert time.monotonic() - started_at < 10, "not at the timeout"
    assert (type(failure), failure.code) == (TemporaryFailure, "timeout")


@pytest.mark.parametrize("extensions", [("STARTTLS", "AUTH PLAIN", "SMTPUTF8", "8BITMIME"), ()])
def test_internationalized_address_needs_smtputf8(send, extensions):
    message = replace(EMAIL, to="zoë@bücher.example")
    options = {} if extensions else {"SMTP_SECURITY": "none", "SMTP_USER": ""}
    with FakeSmtp(extensions=extensions) as server:
        if extensions:
            send(server, message=message, **options)
            assert server.mails[0]["To"] == "zoë@xn--bcher-kva.example"
        else:
            failure = get_failure(send, server, message=message, **options)
            assert (type(failure), failure.code) == (PermanentFailure, "rejected")
