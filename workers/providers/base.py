"""The interface of the providers, and the two kinds of failures.

The text of a failure is a code and nothing else: task runners, dashboards and logs record what a
task raises, and must not record addresses, codes or a provider's text.
"""

from typing import Protocol

from domain.model.errors import RollcallError
from workers.messages.message import Message

# SendGrid returns custom arguments as fields of each event, beside its own.
SENDGRID_REFERENCE_FIELD = "rollcall_reference"
_MAX_MESSAGE_ID_LENGTH = 200


class Provider(Protocol):
    """Sends messages. Safe to share between threads. Its class is called with Django's settings."""

    def send(self, message: Message, reference: str = "") -> str:
        """Sends the message, once; returns the provider's message id ('' if there is none).

        The provider stores `reference` and returns it in delivery receipts; '' for none.

        Raises `TemporaryFailure` if a retry may succeed, `PermanentFailure` if not. After a
        `TemporaryFailure` the message may have been sent all the same: a lost response cannot be
        distinguished from a lost message. Nothing is retried here, the outbox decides. Returns or
        raises well within the outbox lease (`OUTBOX_LEASE_SECONDS`).
        """
        ...


class SendError(RollcallError):
    """The message was not accepted, or may not have been. `code` is the whole text of the error."""

    code = "send_failed"


class TemporaryFailure(SendError):
    """A retry may succeed, after `retry_after` seconds if the provider asked for a delay."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class PermanentFailure(SendError):
    """The message will never be accepted."""


def sanitize_message_id(value: object) -> str:
    """Returns a provider's message id, '' unless it is short, printable ASCII."""
    if not isinstance(value, str) or len(value) > _MAX_MESSAGE_ID_LENGTH:
        return ""
    return value if value.isascii() and value.isprintable() else ""
