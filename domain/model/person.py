"""A person: the fields and their validation, and the state that a profile is rendered from."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.model import unicode_text
from domain.model.errors import InvalidField

NAME_MAX_LENGTH = 100
MAX_HOBBIES = 50
HOBBY_MAX_LENGTH = 100
# Of what the FreeformClass of PRECIS (RFC 8264 section 4.3) disallows: control characters (Cc), NUL
# and newline among them, Unicode's own line ends (Zl, Zp), lone surrogates (Cs), private use (Co),
# and noncharacters. The rest is allowed: emoji, Persian and Sinhala need joiners and variation
# selectors, and unassigned code points may be emoji that phones know before this Python does.
_FORBIDDEN_CATEGORIES = {"Cc", "Co", "Cs", "Zl", "Zp"}
# No code point stands for more others (Unicode's normalization FAQ). Longer texts stay as they are,
# because Python sorts combining characters in quadratic time: 64 KiB of them take seconds.
_MAX_DECOMPOSITION = 4
# Embeddings, overrides and isolates reorder the text around a name (CVE-2021-42574), and come along
# when a name is copied: they are dropped.
_DIRECTIONAL_FORMATTING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


@dataclass(frozen=True, slots=True, repr=False)
class ActiveSession:
    """A session in the profile hash: the SHA-256 digest of its token, and its expiry."""

    digest: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class SessionClient:
    """From where a session is used, as its person may see it: the families of browser and system,
    and the network. Empty: unknown.
    """

    user_agent: str = ""
    network: str = ""


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
    """Parses one line of text: trimmed, NFC, then 1 to `max_length` characters, one of them visible
    and none a control character.

    Raises `InvalidField` (`blank`, `too_long`, `control_characters`).
    """
    text = _parse_optional_text(text, max_length)
    if not text:
        raise InvalidField("blank", "This may not be blank.")
    return text


def _parse_optional_text(text: str, max_length: int) -> str:
    """As `parse_text`, but returns an empty string for a text without a visible character."""
    text = unicode_text.trim(text.translate(_DIRECTIONAL_FORMATTING))
    if len(text) <= _MAX_DECOMPOSITION * max_length:
        text = unicodedata.normalize("NFC", text)
    if len(text) > max_length:
        raise InvalidField("too_long", "Use at most {count} characters.", count=max_length)
    # No character of a printable text is forbidden: nearly all texts need one call.
    if not text.isprintable() and any(_is_forbidden(character) for character in text):
        raise InvalidField("control_characters", "Control characters are not allowed.")
    return text if any(unicode_text.is_visible(character) for character in text) else ""


def _is_forbidden(character: str) -> bool:
    is_control = unicodedata.category(character) in _FORBIDDEN_CATEGORIES
    return is_control or unicode_text.is_noncharacter(character)


def parse_name(text: str) -> str:
    """Parses a name or surname. Raises `InvalidField` as `parse_text` does."""
    return parse_text(text, NAME_MAX_LENGTH)


def parse_hobbies(value: str | Iterable[str]) -> tuple[str, ...]:
    """Parses a list of hobbies, or one newline-separated string; drops blank ones, keeps the order.

    Raises `InvalidField` (`too_many`, and those of `parse_text`).
    """
    lines = value.split("\n") if isinstance(value, str) else list(value)
    parsed = [_parse_optional_text(line, HOBBY_MAX_LENGTH) for line in lines]
    hobbies = tuple(hobby for hobby in parsed if hobby)
    if len(hobbies) > MAX_HOBBIES:
        raise InvalidField("too_many", "List at most {count} hobbies.", count=MAX_HOBBIES)
    return hobbies
