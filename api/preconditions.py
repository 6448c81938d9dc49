"""Preconditions of a request (RFC 9110 section 13), as plain values; shared by both processes."""

import re

_TAG = r'(?:W/)?"[^"]*"'  # spaces too, which RFC 2616 allowed: such a tag is only not ours
_LIST = re.compile(rf"{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*")  # no two ways to match a text
_TAGS = re.compile(_TAG)


def evaluate_preconditions(
    method: str, etag: str, if_match: str | None = None, if_none_match: str | None = None
) -> int | None:
    """Returns the status of a request whose preconditions do not hold, 304 or 412; None if they do.

    `etag` is the strong one of the current representation; the other two are the values of the
    headers, repeated ones joined by a comma, None if absent. In the order of section 13.2.2; the
    headers with dates are ignored, because a profile has no modification date.
    """
    if if_match is not None and not _matches(if_match, {etag}):
        return 412
    if if_none_match is not None and _matches(if_none_match, {etag, f"W/{etag}"}):
        return 304 if method in ("GET", "HEAD") else 412
    return None


def _matches(value: str, etags: set[str]) -> bool:
    """Returns whether a header is `*` or lists one of the tags; a malformed one does neither."""
    if value.strip(" \t") == "*":
        return True
    value = value.strip(" \t,")  # a list may have empty elements (section 5.6.1.2)
    return bool(_LIST.fullmatch(value)) and not etags.isdisjoint(_TAGS.findall(value))
