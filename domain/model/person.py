"""A person: the fields and their validation, and the state that a profile is rendered from."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.model.errors import InvalidField

NAME_MAX_LENGTH = 100
MAX_HOBBIES = 50
HOBBY_MAX_LENGTH = 100
# Control characters (Cc) include NUL and newline; Zl and Zp are Unicode's own line ends; Cs are
# lone surrogates. Format characters (Cf) are allowed, because emoji and several scripts are joined
# by them, but a text of nothing else is blank.
_FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True, repr=False)
class ActiveSession:
    """A session in the profile hash: the SHA-256 digest of its token, and its expiry."""

    digest: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person's state in Postgres at one version."""

    id: UUID
    version: int
    name: str
    surname: str
    email: str
    phone: str
    hobbies: tuple[str, ...]
    email_verified: bool
    phone_verified: bool
    sessions: tuple[ActiveSession, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An erased person: id, last version and time, no personal data."""

    id: UUID
    version: int
    deleted_at: datetime


def parse_text(text: str, max_length: int) -> str:
    """Parses one line of text: trimmed, NFC, 1 to `max_length` characters, no control characters.

    Raises `InvalidField` (`blank`, `too_long`, `control_characters`).
    """
    text = unicodedata.normalize("NFC", text.strip())
    if not text or not text.isprintable():  # only such a text can have a forbidden category
        categories = {unicodedata.category(character) for character in text}
        if categories & _FORBIDDEN_CATEGORIES:
            raise InvalidField("control_characters", "Control characters are not allowed.")
        if not categories - {"Cf", "Zs"}:
            raise InvalidField("blank", "This may not be blank.")
    if len(text) > max_length:
        raise InvalidField("too_long", f"Use at most {max_length} characters.")
    return text


def parse_name(text: str) -> str:
    """Parses a name or surname. Raises `InvalidField` as `parse_text` does."""
    return parse_text(text, NAME_MAX_LENGTH)


def parse_hobbies(value: str | Iterable[str]) -> tuple[str, ...]:
    """Parses a list of hobbies, or one newline-separated string; drops empty ones, keeps the order.

    Raises `InvalidField` (`too_many`, and those of `parse_text`).
    """
    lines = value.split("\n") if isinstance(value, str) else list(value)
    hobbies = tuple(parse_text(line, HOBBY_MAX_LENGTH) for line in lines if line.strip())
    if len(hobbies) > MAX_HOBBIES:
        raise InvalidField("too_many", f"List at most {MAX_HOBBIES} hobbies.")
    return hobbies
