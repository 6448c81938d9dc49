"""The development mailbox: one JSON object a line for each message that would have been sent."""

import json
import mmap
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from workers.providers.base import Message, TemporaryFailure

# In a JSON string every quote is escaped, so these bytes occur only where a record begins, and
# before its address. That lets the reader find lines without parsing them.
_RECORD_START = b'{"channel":'
_TO_FIELD = b'"to":'


class FileMailbox:
    """An append-only file that several processes write and read concurrently."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def send(self, message: Message) -> str:
        """Appends the message; returns '' (a file has no message ids).

        Raises `TemporaryFailure("mailbox_write_failed")` if the file cannot be written.
        """
        line = _serialize(message)
        try:
            written = self._append(line)
        except OSError:
            written = 0
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
        pattern = _RECORD_START if to is None else _TO_FIELD + _to_json(to)
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
                    return []
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
                    return [
                        json.loads(line) for line in islice(_iter_reversed(lines, pattern), limit)
                    ]
        except FileNotFoundError:
            return []

    def _append(self, line: bytes) -> int:
        """Appends a line in one write with O_APPEND: lines of several processes do not mix."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o600)
        try:
            return os.write(file, line)
        finally:
            os.close(file)


def _serialize(message: Message) -> bytes:
    record = {
        "channel": message.channel,
        "to": message.to,
        "subject": message.subject,
        "text": message.text,
        "code": message.code,
        "link": message.link,
        "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return _to_json(record) + b"\n"


def _to_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _iter_reversed(lines: mmap.mmap, pattern: bytes) -> Iterator[bytes]:
    """Yields the records with `pattern`, the last first.

    What follows the last newline is still being written. A writer that was killed within a line
    leaves a fragment to which the next line is appended; the record begins after the fragment.
    """
    end = lines.rfind(b"\n") + 1
    while (found := lines.rfind(pattern, 0, end)) >= 0:
        start = lines.rfind(b"\n", 0, found) + 1
        line = lines[start : lines.find(b"\n", found)]
        record = line[line.rfind(_RECORD_START) :]
        if pattern in record:
            yield record
        end = start
