"""The part of HTTP/1.1 that the generators need: the end of a response."""

import re

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def complete_head(received: bytes) -> bytes | None:
    """Returns the head of a response once its body has been received too, else None."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = _CONTENT_LENGTH.search(head)
    return head if end and len(body) >= (int(length[1]) if length else 0) else None
