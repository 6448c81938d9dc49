"""The development mailbox: a file with a JSON object for each message that would have been sent."""

import json
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from workers.messages.message import Message
from workers.providers.base import TemporaryFailure

# In a JSON string every quote is escaped, so these bytes occur only before the address of a
# record. That lets the reader find records without parsing the others.
_TO_FIELD = b'"to":'
_open_private = partial(os.open, mode=0o600)


class FileMailbox:
    """An append-only file that several processes write and read concurrently."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def send(self, message: Message, reference: str = "") -> str:
        """Appends the message; returns '' (a file has no message ids, and sends no receipts).

        Raises `TemporaryFailure("mailbox_write_failed")` if the file cannot be written.
        """
        record = asdict(message)
        del record["html"]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        # A line break first: a writer that is killed within a record spoils no other.
        line = b"\n" + _to_json(record | {"sent_at": now.replace("+00:00", "Z")})
        written = 0
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, in one write: records of several processes do not mix.
            with open(self._path, "ab", buffering=0, opener=_open_private) as file:
                written = file.write(line)
        if written < len(line):
            raise TemporaryFailure("mailbox_write_failed")
        return ""

    def list_messages(
        self, to: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Lists messages, newest first: to one address if `to` is given, at most `limit` of them.

        Each has the keys `channel, to, subject, text, code, link, sent_at`, in this order. Returns
        none if there is no file yet. Raises OSError if the file cannot be read.
        """
        pattern = _TO_FIELD + (b"" if to is None else _to_json(to))
        if not self._path.exists() or self._path.stat().st_size == 0:  # mmap takes no empty file
            return []
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines,
        ):
            return list(islice(_iter_reversed(lines, pattern), limit))


def _to_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _iter_reversed(lines: mmap.mmap, pattern: bytes) -> Iterator[dict[str, Any]]:
    """Yields the complete records with `pattern`, the last first."""
    end = len(lines)
    while (found := lines.rfind(pattern, 0, end)) >= 0:
        start = lines.rfind(b"\n", 0, found) + 1
        line_end = lines.find(b"\n", found)
        with suppress(ValueError):
            yield json.loads(lines[start : line_end if line_end >= 0 else len(lines)])
        end = start
