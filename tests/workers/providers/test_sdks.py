"""Message delivery: the real SDKs over HTTP, with a fake provider that fails on demand."""

import json
import logging
import logging.config
import os
import stat
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import fake_provider
from tests.support.fake_provider import FakeProvider
from workers.messages.message import Message
from workers.providers.base import PermanentFailure, Provider, SendError, TemporaryFailure
from workers.providers.http import ProviderSession
from workers.providers.mailbox import FileMailbox
from workers.providers.sendgrid import SendGrid
from workers.providers.vonage import Vonage

EMAIL = Message(
    channel="email",
    to="secret.person@example.org",
    subject="Confirm, Zoë",
    text="Enter 731964 or open https://rollcall.test/confirm/email/#s3cr3t-t0ken",
    html="<p>Enter <b>731964</b>: https://rollcall.test/confirm/email/#s3cr3t-t0ken</p>",
    code="731964",
    link="https://rollcall.test/confirm/email/#s3cr3t-t0ken",
)
SMS = Message(
    channel="phone",
    to="+447700900123",
    subject="",
    text="731964 is your code.\n\n@rollcall.test #731964",
    html="",
    code="731964",
)
CREDENTIALS = {
    "SENDGRID_API_KEY": "SG.api-key",
    "EMAIL_FROM": "no-reply@rollcall.test",
    "SERVICE_NAME": "Rollcall",
    "VONAGE_API_KEY": "api-key",
    "VONAGE_API_SECRET": "api-secret",
    "SMS_FROM": "Rollcall",
}
SECRETS = ["secret.person", "447700900123", "731964", "s3cr3t-t0ken", "api-key", "api-secret"]
ECHO = json.dumps({"errors": SECRETS}).encode()


@dataclass
class ProviderCase:
    """A fake provider, and a message to send through the real client."""

    server: FakeProvider
    message: Message

    def make_provider(
        self, timeout: float = 2.0, deadline: float = 5.0, host: str = ""
    ) -> Provider:
        provider_class = SendGrid if self.message.channel == "email" else Vonage
        settings = SimpleNamespace(
            **CREDENTIALS,
            SENDGRID_HOST=f"http://{host}" if host else self.server.url,
            VONAGE_HOST=host or self.server.host,
            PROVIDER_TIMEOUT=timeout,
        )
        return provider_class(settings, deadline)

    def get_failure(
        self, response: fake_provider.Respond | None = None, **options: Any
    ) -> SendError:
        """Returns how sending fails with this response."""
        if response is not None:
            self.server.queue_responses(response)
        with pytest.raises(SendError) as caught:
            self.make_provider(**options).send(self.message)
        return caught.value


@pytest.fixture(scope="module")
def certificate_authority() -> Iterator[str]:
    with FakeProvider(tls=True) as server:
        yield server.ca_file


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, certificate_authority: str) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Not the system's certificates: loading them takes longer than most of these tests.
    monkeypatch.setenv("SSL_CERT_FILE", certificate_authority)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate_authority)


@pytest.fixture
def sendgrid() -> Iterator[ProviderCase]:
    with FakeProvider() as server:
        yield ProviderCase(server, EMAIL)


@pytest.fixture
def vonage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderCase]:
    with FakeProvider(tls=True) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        yield ProviderCase(server, SMS)


@pytest.fixture(params=["sendgrid", "vonage"])
def provider(request: pytest.FixtureRequest) -> ProviderCase:
    case: ProviderCase = request.getfixturevalue(request.param)
    return case


# --- What both do -------------------------------------------------------------------------------


def test_message_is_posted_once_and_its_id_returned(provider: ProviderCase) -> None:
    sent = provider.make_provider().send(provider.message)
    assert sent in {"mail-1", "sms-1"}
    assert [request.method for request in provider.server.requests] == ["POST"]


@pytest.mark.parametrize(
    ("status", "failure_type", "code"),
    [
        (400, PermanentFailure, "rejected"),
        (404, PermanentFailure, "rejected"),
        (413, PermanentFailure, "rejected"),
        (401, TemporaryFailure, "authentication_failed"),
        (403, TemporaryFailure, "authentication_failed"),
        (408, TemporaryFailure, "timeout"),
        (429, TemporaryFailure, "rate_limited"),
        (500, TemporaryFailure, "provider_error"),
        (502, TemporaryFailure, "provider_error"),
        (503, TemporaryFailure, "provider_error"),
        (201, TemporaryFailure, "invalid_response"),
        (204, TemporaryFailure, "invalid_response"),
        (304, TemporaryFailure, "invalid_response"),
    ],
)
def test_status_is_classified_as_temporary_or_permanent(
    provider: ProviderCase, status: int, failure_type: type[SendError], code: str
) -> None:
    body = b"" if status in (204, 304) else b"{}"
    failure = provider.get_failure(fake_provider.status(status, body=body))
    assert (type(failure), failure.code, str(failure)) == (failure_type, code, code)
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-5", None), ("999999", 3600.0), ("soon", None), ("1.5", None)],
)
def test_retry_after_in_seconds_is_clamped(
    provider: ProviderCase, header: str, seconds: float | None
) -> None:
    failure = provider.get_failure(fake_provider.status(429, {"Retry-After": header}))
    assert isinstance(failure, TemporaryFailure)
    assert failure.retry_after == seconds


def test_retry_after_date_is_converted_to_seconds(provider: ProviderCase) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    failure = provider.get_failure(fake_provider.status(503, {"Retry-After": date}))
    assert isinstance(failure, TemporaryFailure)
    assert failure.retry_after == pytest.approx(90, abs=3)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_to_another_host_is_not_followed(provider: ProviderCase, code: int) -> None:
    with FakeProvider(tls=provider.message.channel == "phone") as other:
        failure = provider.get_failure(fake_provider.redirect(f"{other.url}/v3/mail/send", code))
        assert (type(failure), failure.code) == (TemporaryFailure, "invalid_response")
        assert other.requests == []
    assert len(provider.server.requests) == 1


def test_redirect_to_the_same_url_is_not_followed(provider: ProviderCase) -> None:
    provider.get_failure(fake_provider.redirect("/again"))
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (fake_provider.drop(), "connection_lost"),
        (fake_provider.drop_midway(202), "connection_lost"),
        (fake_provider.drop_midway(200), "connection_lost"),
        (fake_provider.raw(b"\x16\x03garbage\r\n\r\n"), "invalid_response"),
        (fake_provider.raw(b"HTTP/1.1 what?\r\n\r\n"), "invalid_response"),
        (fake_provider.status(200, body=b"<html>busy</html>"), "invalid_response"),
        (fake_provider.status(200, {"Content-Encoding": "gzip"}, b"not gzip"), "invalid_response"),
    ],
    ids=["drop", "midway-202", "midway-200", "garbage", "status-line", "html", "gzip"],
)
def test_broken_response_is_temporary_and_not_retried_in_place(
    provider: ProviderCase, response: fake_provider.Respond, code: str
) -> None:
    failure = provider.get_failure(response)
    assert (type(failure), failure.code) == (TemporaryFailure, code)
    assert len(provider.server.requests) == 1


def test_silent_server_fails_at_the_timeout(provider: ProviderCase) -> None:
    started_at = time.monotonic()
    failure = provider.get_failure(fake_provider.hang(), timeout=0.9, deadline=10)
    assert (type(failure), failure.code) == (TemporaryFailure, "timeout")
    assert 0.8 < time.monotonic() - started_at < 3
    assert len(provider.server.requests) == 1


@pytest.mark.parametrize(
    "response",
    [fake_provider.drip(202), fake_provider.drip(in_headers=True), fake_provider.hang()],
    ids=["body", "headers", "silence"],
)
def test_slow_response_fails_at_the_deadline(
    provider: ProviderCase, response: fake_provider.Respond
) -> None:
    started_at = time.monotonic()
    failure = provider.get_failure(response, timeout=10, deadline=0.4)
    assert (type(failure), failure.code) == (TemporaryFailure, "timeout")
    assert 0.3 < time.monotonic() - started_at < 2
    assert len(provider.server.requests) == 1


def test_refused_connection_differs_from_a_lost_response(provider: ProviderCase) -> None:
    with FakeProvider() as closed:
        pass
    failure = provider.get_failure(host=closed.host)
    assert (type(failure), failure.code) == (TemporaryFailure, "connect_failed")


def test_no_thread_is_left_after_sending(provider: ProviderCase) -> None:
    before = set(threading.enumerate())
    provider.make_provider(deadline=60).send(provider.message)
    own = [t for t in threading.enumerate() if t not in before and isinstance(t, threading.Timer)]
    for thread in own:
        thread.join(2)
    assert not any(thread.is_alive() for thread in own)


@pytest.mark.parametrize(
    "response",
    [
        fake_provider.accept(),
        fake_provider.status(400, body=ECHO),
        fake_provider.status(401, body=ECHO),
        fake_provider.status(500, body=ECHO),
        fake_provider.status(200, body=ECHO),
        fake_provider.status(302, {"Location": "http://127.0.0.1/?731964"}, ECHO),
        fake_provider.sms({"status": "7", "error-text": "barred: 447700900123 731964"}),
        fake_provider.drop(),
        fake_provider.drop_midway(),
        fake_provider.raw(ECHO),
    ],
    ids=["ok", "400", "401", "500", "200", "302", "sms-7", "drop", "midway", "raw"],
)
def test_errors_and_logs_contain_no_message_content(
    provider: ProviderCase, response: fake_provider.Respond, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in ("", "vonage", "python_http_client", "python_http_client.client", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=logger)
    provider.server.queue_responses(response)
    failure = None
    try:
        provider.make_provider().send(provider.message)
    except SendError as caught:
        failure = caught
    assert failure is None or (failure.__cause__ is None and failure.__context__ is None)
    reported = f"{failure!r} {vars(failure) if failure else ''}"
    reported += caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert [secret for secret in SECRETS if secret in reported] == []


def test_log_filter_survives_logging_configuration(
    provider: ProviderCase, caplog: pytest.LogCaptureFixture
) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "loggers": {
                name: {"level": "DEBUG", "propagate": True}
                for name in ("vonage", "python_http_client", "python_http_client.client", "urllib3")
            },
        }
    )
    provider.server.queue_responses(fake_provider.status(500, body=ECHO))
    with caplog.at_level(logging.DEBUG), pytest.raises(TemporaryFailure):
        provider.make_provider().send(provider.message)
    assert caplog.text == ""


def test_concurrent_threads_send_each_message_once(provider: ProviderCase) -> None:
    delivery = provider.make_provider(timeout=10, deadline=20)
    together = threading.Barrier(20)
    messages = [
        replace(provider.message, to=f"{number}@example.org", text=f"text {number}")
        for number in range(20)
    ]

    def send(message: Message) -> str:
        together.wait(10)
        return delivery.send(message)

    with ThreadPoolExecutor(20) as pool:
        ids = list(pool.map(send, messages))
    assert len(set(ids)) == 20
    assert sorted(map(get_recipient_and_text, provider.server.requests)) == sorted(
        (message.to, message.text) for message in messages
    )


def get_recipient_and_text(request: fake_provider.Request) -> tuple[str, str]:
    if request.path == "/sms/json":
        return request.form["to"], request.form["text"]
    sent = request.json
    return sent["personalizations"][0]["to"][0]["email"], sent["content"][0]["value"]


def test_connection_made_after_the_deadline_is_not_used() -> None:
    class LateConnection:
        def shutdown(self, mode: int) -> None:
            raise AssertionError

    with ProviderSession((202,), timeout=1, deadline=0) as session, pytest.raises(TimeoutError):
        session.limit_connection(LateConnection())  # type: ignore[arg-type]  # no socket: it must not be touched


def test_netrc_does_not_replace_the_key(
    provider: ProviderCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    provider.make_provider().send(provider.message)
    scheme, _, credentials = provider.server.requests[0].headers["Authorization"].partition(" ")
    assert scheme == "Bearer" or b64decode(credentials) == b"api-key:api-secret"


@pytest.mark.parametrize("message", [EMAIL, SMS], ids=["sendgrid", "vonage"])
def test_untrusted_certificate_is_rejected(message: Message) -> None:
    with FakeProvider(tls=True) as other:
        assert ProviderCase(other, message).get_failure().code == "connect_failed"
        assert other.requests == []


# --- SendGrid -----------------------------------------------------------------------------------


def test_request_to_sendgrid_has_the_expected_content(sendgrid: ProviderCase) -> None:
    sendgrid.make_provider().send(EMAIL)
    [request] = sendgrid.server.requests
    assert request.path == "/v3/mail/send"
    assert request.headers["Authorization"] == "Bearer SG.api-key"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("sendgrid/6.")
    assert request.json == {
        "from": {"email": "no-reply@rollcall.test", "name": "Rollcall"},
        "personalizations": [{"to": [{"email": "secret.person@example.org"}]}],
        "subject": "Confirm, Zoë",
        "content": [
            {"type": "text/plain", "value": EMAIL.text},
            {"type": "text/html", "value": EMAIL.html},
        ],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
            "ganalytics": {"enable": False},
        },
    }


def test_reference_is_sent_to_sendgrid_as_a_custom_argument(sendgrid: ProviderCase) -> None:
    sendgrid.make_provider().send(EMAIL, "7-a1b2")
    assert sendgrid.server.requests[0].json["custom_args"] == {"rollcall_reference": "7-a1b2"}


@pytest.mark.parametrize("recipient", [r'"\a b"@example.org', "a@[127.0.0.1]", "ü@exämple.org"])
def test_address_is_sent_to_sendgrid_unchanged(sendgrid: ProviderCase, recipient: str) -> None:
    sendgrid.make_provider().send(replace(EMAIL, to=recipient))
    assert sendgrid.server.requests[0].json["personalizations"][0]["to"] == [{"email": recipient}]


def test_sendgrid_200_is_a_failure(sendgrid: ProviderCase) -> None:
    assert sendgrid.get_failure(fake_provider.status(200)).code == "invalid_response"


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (fake_provider.drip(202), "timeout"),
        (fake_provider.drop(), "connection_lost"),
        (fake_provider.redirect("/again", 302), "invalid_response"),
    ],
    ids=["drip", "drop", "redirect"],
)
def test_sendgrid_is_reached_over_tls(
    monkeypatch: pytest.MonkeyPatch, response: fake_provider.Respond, code: str
) -> None:
    with FakeProvider(tls=True) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        sendgrid = ProviderCase(server, EMAIL)
        assert sendgrid.make_provider().send(EMAIL) == "mail-1"
        assert sendgrid.get_failure(response, timeout=10, deadline=0.5).code == code
        assert len(server.requests) == 2


@pytest.mark.parametrize("unusual", ["", "x" * 201])
def test_invalid_message_id_is_discarded(sendgrid: ProviderCase, unusual: str) -> None:
    sendgrid.server.queue_responses(fake_provider.status(202, {"X-Message-Id": unusual}, b""))
    assert sendgrid.make_provider().send(EMAIL) == ""


@pytest.mark.parametrize("key", ["SG.api-key\n", "SG.äpi-key"])
def test_invalid_sendgrid_key_is_rejected_and_not_printed(key: str) -> None:
    with pytest.raises(ValueError, match="SendGrid API key") as caught:
        SendGrid(SimpleNamespace(SENDGRID_API_KEY=key))
    assert "pi-key" not in str(caught.value)


# --- Vonage -------------------------------------------------------------------------------------


def test_request_to_vonage_has_the_expected_content(vonage: ProviderCase) -> None:
    vonage.make_provider().send(SMS)
    [request] = vonage.server.requests
    assert request.path == "/sms/json"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["User-Agent"].startswith("vonage-python-sdk/4.")
    scheme, _, credentials = request.headers["Authorization"].partition(" ")
    assert (scheme, b64decode(credentials)) == ("Basic", b"api-key:api-secret")
    assert request.form == {
        "to": "447700900123",
        "from": "Rollcall",
        "text": SMS.text,
        "type": "text",
    }


def test_reference_is_sent_to_vonage_as_client_ref(vonage: ProviderCase) -> None:
    vonage.make_provider().send(SMS, "7-a1b2")
    assert vonage.server.requests[0].form["client-ref"] == "7-a1b2"


def test_text_outside_the_gsm_alphabet_is_sent_as_unicode(vonage: ProviderCase) -> None:
    vonage.make_provider().send(replace(SMS, text="код 731964"))
    form = vonage.server.requests[0].form
    assert (form["type"], form["text"]) == ("unicode", "код 731964")


@pytest.mark.parametrize(
    ("status", "failure_type", "code"),
    [
        *[(status, PermanentFailure, "rejected") for status in ("3", "6", "7", "12", "22", "33")],
        *[(status, TemporaryFailure, "rate_limited") for status in ("1", "10")],
        *[
            (status, TemporaryFailure, "authentication_failed")
            for status in ("4", "8", "11", "14", "32")
        ],
        *[(status, TemporaryFailure, "provider_quota_exceeded") for status in ("9", "29")],
        *[(status, TemporaryFailure, "misconfigured") for status in ("2", "15", "23")],
        *[(status, TemporaryFailure, "provider_error") for status in ("5", "99", "new")],
    ],
)
def test_status_in_the_body_of_a_vonage_200_is_classified(
    vonage: ProviderCase, status: str, failure_type: type[SendError], code: str
) -> None:
    failure = vonage.get_failure(fake_provider.sms({"status": status, "error-text": "no"}))
    assert (type(failure), failure.code) == (failure_type, code)
    assert len(vonage.server.requests) == 1


def test_failed_part_fails_the_message(vonage: ProviderCase) -> None:
    parts = [{"status": "0", "message-id": "a"}, {"status": "1", "error-text": "slower"}]
    assert vonage.get_failure(fake_provider.sms(*parts)).code == "rate_limited"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"0"',
        b"{}",
        b'{"message-count": "1"}',
        b'{"message-count": "0", "messages": []}',
        b'{"message-count": "1", "messages": [{}]}',
        b'{"message-count": "1", "messages": ["0"]}',
        b'{"message-count": "many", "messages": null}',
        b"\xff\xfe\xfd",
    ],
)
def test_vonage_200_without_a_status_is_invalid(vonage: ProviderCase, body: bytes) -> None:
    failure = vonage.get_failure(fake_provider.status(200, body=body))
    assert (type(failure), failure.code) == (TemporaryFailure, "invalid_response")


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"status": "0", "message-id": "m-1"}]}',
        b'{"message-count": 1, "messages": [{"status": "0", "message-id": "m-1"}]}',
        b'{"message-count": "1", "messages": [{"status": 0, "message-id": "m-1"}]}',
    ],
)
def test_accepted_message_succeeds_if_the_sdk_rejects_the_response(
    vonage: ProviderCase, body: bytes
) -> None:
    vonage.server.queue_responses(fake_provider.status(200, body=body))
    assert vonage.make_provider().send(SMS) == "m-1"


# --- The development mailbox --------------------------------------------------------------------


@pytest.fixture
def mailbox(tmp_path: Path) -> FileMailbox:
    return FileMailbox(tmp_path / "data" / "mailbox.jsonl")


def test_mailbox_lists_messages_newest_first(mailbox: FileMailbox) -> None:
    assert mailbox.send(EMAIL) == ""
    mailbox.send(SMS)
    newest, oldest = mailbox.list_messages()
    assert list(newest) == ["channel", "to", "subject", "text", "code", "link", "sent_at"]
    assert (newest["channel"], newest["link"]) == ("phone", None)
    when = datetime.fromisoformat(oldest.pop("sent_at"))
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)
    assert oldest == {
        "channel": "email",
        "to": EMAIL.to,
        "subject": EMAIL.subject,
        "text": EMAIL.text,
        "code": EMAIL.code,
        "link": EMAIL.link,
    }


def test_mailbox_is_empty_before_the_first_message(mailbox: FileMailbox, tmp_path: Path) -> None:
    assert mailbox.list_messages() == []
    (tmp_path / "empty").touch()
    assert FileMailbox(tmp_path / "empty").list_messages(to="x") == []


def test_mailbox_filters_by_recipient_and_not_by_text(mailbox: FileMailbox) -> None:
    mailbox.send(replace(EMAIL, to='"a b"@exämple.org', text="mine"))
    mailbox.send(replace(EMAIL, to="other@example.org", text='"to":"\\"a b\\"@exämple.org"'))
    assert [case["text"] for case in mailbox.list_messages(to='"a b"@exämple.org')] == ["mine"]


def test_damaged_record_does_not_affect_others(mailbox: FileMailbox) -> None:
    mailbox.send(EMAIL)
    with mailbox._path.open("ab") as file:
        file.write(b'\n{"channel":"email","to":"x@example.org",not json}' * 3)
    mailbox.send(EMAIL)
    assert len(mailbox.list_messages(to=EMAIL.to)) == 2
    assert len(mailbox.list_messages(limit=1)) == 1


def test_mailbox_returns_at_most_the_limit(mailbox: FileMailbox) -> None:
    for number in range(5):
        mailbox.send(replace(SMS, code=str(number)))
    assert [case["code"] for case in mailbox.list_messages(limit=2)] == ["4", "3"]
    assert [case["code"] for case in mailbox.list_messages(to=SMS.to, limit=1)] == ["4"]


def test_incomplete_mailbox_line_is_not_returned(mailbox: FileMailbox) -> None:
    mailbox.send(replace(EMAIL, code="first"))
    mailbox.send(replace(EMAIL, code="second"))
    complete = mailbox._path.read_bytes()
    mailbox._path.write_bytes(complete[:-1])
    assert [case["code"] for case in mailbox.list_messages(to=EMAIL.to)] == ["first"]
    assert [case["code"] for case in mailbox.list_messages()] == ["first"]


@pytest.mark.parametrize("recipient", [None, EMAIL.to])
def test_killed_writer_loses_only_its_own_line(mailbox: FileMailbox, recipient: str | None) -> None:
    mailbox.send(replace(EMAIL, code="killed"))
    mailbox._path.write_bytes(mailbox._path.read_bytes()[:-30])
    mailbox.send(replace(EMAIL, code="next"))
    mailbox.send(replace(EMAIL, code="last"))
    assert [case["code"] for case in mailbox.list_messages(to=recipient)] == ["last", "next"]


def test_partial_line_does_not_affect_the_recipient_of_the_next(mailbox: FileMailbox) -> None:
    mailbox.send(replace(EMAIL, code="killed"))
    mailbox._path.write_bytes(mailbox._path.read_bytes()[:-30])
    mailbox.send(SMS)
    assert mailbox.list_messages(to=EMAIL.to) == []
    assert len(mailbox.list_messages(to=SMS.to)) == 1


def test_mailbox_file_is_private(mailbox: FileMailbox) -> None:
    mailbox.send(EMAIL)
    assert stat.S_IMODE(mailbox._path.stat().st_mode) == 0o600


def test_unwritable_mailbox_is_a_temporary_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TemporaryFailure) as caught:
        FileMailbox(tmp_path / "file" / "mailbox.jsonl").send(EMAIL)
    assert (str(caught.value), caught.value.__context__) == ("mailbox_write_failed", None)


_WRITER = """
import sys
from workers.messages.message import Message
from workers.providers.mailbox import FileMailbox
for number in range(200):
    text = f"{sys.argv[2]}-{number}"
    FileMailbox(sys.argv[1]).send(Message("email", text, "", text * 500, ""))
"""


def test_concurrent_processes_write_complete_lines(mailbox: FileMailbox) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", _WRITER, str(mailbox._path)]
    writers = [subprocess.Popen([*command, name], env=environment) for name in "abcd"]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0, 0]
    sent = {case["to"]: case["text"] for case in mailbox.list_messages()}
    assert sent == {f"{n}-{i}": f"{n}-{i}" * 500 for n in "abcd" for i in range(200)}
