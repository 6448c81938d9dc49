"""Sends e-mail through an SMTP server (RFC 6409), with the standard library's client."""

import os
import smtplib
import ssl
import threading
import time
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from typing import Any

import idna
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from workers.messages.message import Message
from workers.providers.base import (
    PermanentFailure,
    SendError,
    TemporaryFailure,
    sanitize_message_id,
)
from workers.providers.http import DEADLINE, shut_down, tls_context


class Smtp:
    """Sends e-mail, each on a connection of its own, once."""

    def __init__(self, settings: Any, deadline: float = DEADLINE) -> None:
        self._settings, self._deadline = settings, deadline

    def send(self, message: Message, reference: str = "") -> str:
        """Sends an e-mail; returns its `Message-ID`. Raises as `Provider.send`."""
        mail = self._build_mail(message, reference)
        expires_at = time.monotonic() + self._deadline
        failure: SendError | None = None
        try:
            self._submit(mail, expires_at)
        except (OSError, UnicodeError) as error:  # of which SMTPException is one
            is_late = time.monotonic() >= expires_at or isinstance(error.__context__, TimeoutError)
            failure = TemporaryFailure("timeout") if is_late else _classify(error)
        if failure is not None:  # raised here, so that it has no context with the server's text
            raise failure
        return sanitize_message_id(mail["Message-ID"])

    def _submit(self, mail: EmailMessage, expires_at: float) -> None:
        settings = self._settings
        context = tls_context(os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH)
        server = self._make_client(context)
        try:
            server.connect(settings.SMTP_HOST, settings.SMTP_PORT)
            # The timeout is for each wait alone, and a reply may trickle in.
            remaining = max(0.0, expires_at - time.monotonic())
            timer = threading.Timer(remaining, _cut, [server])
            timer.daemon = True
            timer.start()
            try:
                if settings.SMTP_SECURITY == "starttls":
                    server.starttls(context=context)
                if settings.SMTP_USER:
                    server.login(settings.SMTP_USER, settings.SMTP_PASSWORD)
                server.send_message(mail)
            finally:
                timer.cancel()
            with suppress(OSError):  # it has accepted the message
                server.quit()
        finally:
            server.close()

    def _make_client(self, context: ssl.SSLContext) -> smtplib.SMTP:
        """Returns a client that is not connected yet."""
        settings = self._settings
        options: dict[str, Any] = {"timeout": settings.PROVIDER_TIMEOUT}
        if settings.SMTP_SECURITY == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(context=context, **options)
        else:
            client = smtplib.SMTP(**options)
        client._host = settings.SMTP_HOST  # type: ignore[attr-defined]  # noqa: SLF001  # for TLS: only its constructor sets it, and connects
        return client

    def _build_mail(self, message: Message, reference: str) -> EmailMessage:
        sender = self._settings.EMAIL_FROM
        local_part, _, domain = message.to.rpartition("@")
        mail = EmailMessage()
        mail["From"] = Address(self._settings.SERVICE_NAME, addr_spec=sender)
        mail["To"] = Address(username=local_part, domain=idna.encode(domain, uts46=True).decode())
        mail["Subject"] = message.subject
        mail["Date"] = localtime()
        # The same in each attempt: many servers and mail programs drop the second one.
        own_domain = sender.rpartition("@")[2]
        mail["Message-ID"] = (
            f"<{reference}@{own_domain}>" if reference else make_msgid(domain=own_domain)
        )
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail


def _cut(server: smtplib.SMTP) -> None:
    """Ends what another thread does with a server, on the socket of now: STARTTLS replaces it."""
    if (connection := server.sock) is not None:
        shut_down(connection)


def _classify(error: Exception) -> SendError:
    """Classifies an error of smtplib, by the reply's code (RFC 5321 section 4.2.1)."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return TemporaryFailure("authentication_failed")  # the operator fixes it
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            code = next(iter(recipients.values()))[0]
        case smtplib.SMTPResponseException(smtp_code=code):
            pass
        case smtplib.SMTPNotSupportedError() | UnicodeError():
            # No STARTTLS or AUTH is the operator's; an address in UTF-8 cannot be sent there.
            return (
                PermanentFailure("rejected")
                if _is_smtputf8(error)
                else TemporaryFailure("misconfigured")
            )
        case ConnectionRefusedError():
            return TemporaryFailure("connect_failed")
        case TimeoutError():
            return TemporaryFailure("timeout")
        case smtplib.SMTPServerDisconnected() | ConnectionError():
            return TemporaryFailure("connection_lost")
        case _:
            return TemporaryFailure("connect_failed")
    return PermanentFailure("rejected") if code >= 500 else TemporaryFailure("provider_error")


def _is_smtputf8(error: Exception) -> bool:
    return isinstance(error, UnicodeError) or "SMTPUTF8" in str(error)
