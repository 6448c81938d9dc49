"""What a delivery is given, and the two ways in which it can fail.

The text of a failure is a code word and nothing else: task runners, dashboards and logs keep
what a task raises, and an address, a code or a provider's own words must not get there.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from domain.errors import RollcallError


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One message to one address, ready to send.

    `code` and `link` repeat what `text` says, for the development mailbox. A text message has
    no subject and no HTML. The address and the secrets stay out of the `repr`.
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
    """Hands messages to whoever carries them. Safe to share between threads."""

    def send(self, message: Message) -> str:
        """Hand the message over, once; returns the provider's message id ('' if there is none).

        Raises `TryAgain` if it may work later, `Refused` if it never will. After `TryAgain` the
        message may have gone out all the same: a lost answer looks like a lost message.
        """
        ...


class SendError(RollcallError):
    """The message was not, or perhaps not, taken. `code` is also the whole text of the error."""

    code = "send_failed"


class TemporaryFailure(SendError):
    """It may work later; `retry_after` is the provider's own wish in seconds, if it told one."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class PermanentFailure(SendError):
    """Final: this message will never be taken."""
