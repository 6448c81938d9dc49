"""Encodes response headers."""

from collections.abc import Iterable


def encode_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """Returns a header block: a line for each pair, with the name in lower case.

    Names and values must be free of line breaks.
    """
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")
