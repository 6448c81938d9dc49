"""A message to one address, ready to send."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """An e-mail, or a text message, which has no subject and no HTML.

    `code` and `link` repeat what `text` has, for the development mailbox. The `repr` has neither
    address nor secrets.
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
