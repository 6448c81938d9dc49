"""The port of the providers: a message, and the two kinds of failures.

The text of a failure is a code and nothing else: task runners, dashboards and logs record what a
task raises, and must not record addresses, codes or a provider's text.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from domain.model.errors import RollcallError


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message to one address, ready to send.

    `code` and `link` repeat what `text` has, for the development mailbox. A text message has no
    subject and no HTML. The `repr` has neither address nor secrets.
    """

    channel: Literal["email", "phone"]
    to: str
    subject: str
    text: str
    html: str
    code: str | None = None
    link: str | None = None

    def __repr__(self) -> str:
        return f"Message(channel={self.channel!r})"


class Provider(Protocol):
    """Sends messages. Safe to share between threads."""

    def send(self, message: Message) -> str:
        """Sends the message, once; returns the provider's message id ('' if there is none).

        Raises `TemporaryFailure` if a retry may succeed, `PermanentFailure` if not. After a
        `TemporaryFailure` the message may have been sent all the same: a lost response cannot be
        told from a lost message.
        """
        ...


class SendError(RollcallError):
    """The message was not accepted, or may not have been. `code` is the whole text of the error."""

    code = "send_failed"


class TemporaryFailure(SendError):
    """A retry may succeed; `retry_after` is the delay in seconds that the provider asked for, if
    any.
    """

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class PermanentFailure(SendError):
    """The message will never be accepted."""
