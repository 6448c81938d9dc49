"""The headers of an answer, as they go over the wire."""

from collections.abc import Iterable


def lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """A line for each header, its name in lower case.

    Names and values come from us, and have no line ends in them.
    """
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")
