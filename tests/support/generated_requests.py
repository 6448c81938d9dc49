"""Generates requests for every route: whatever a client may put into one, plausible or not."""

import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Credentials(Enum):
    """Who sends a request; the test puts a token or a provider's signature in."""

    NONE = auto()
    LIVE = auto()  # of an active session; a signature on what is sent to a webhook
    ENDED = auto()  # of a session that has been revoked
    FORGED = auto()


class GeneratedRequest(NamedTuple):
    """A request but for framing (`Content-Length`), `Host` and credentials."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None
    credentials: Credentials


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
_HEADERS = (
    b"Idempotency-Key", b"If-Match", b"If-None-Match", b"X-Forwarded-For", b"X-Forwarded-Proto",
    b"X-Request-ID", b"X-Request-Start", b"Content-Encoding", b"Content-Type", b"Accept", b"Origin",
    b"Accept-Language", b"Authorization", b"Cookie", b"Host", b"Range", b"X-HTTP-Method-Override",
    b"X-Twilio-Email-Event-Webhook-Signature", b"X-Twilio-Email-Event-Webhook-Timestamp",
    b"Access-Control-Request-Method", b"Forwarded", b"Referer", b"X-CSRFToken",
)  # fmt: skip  # one glance
_HEADER_VALUES = (
    b"", b"*", b'"0"', b'W/"0", "x', b"a" * 16, b"gzip", b"identity", b"application/json",
    b"text/x", b"application/json; charset=utf-16", b"application/x-www-form-urlencoded",
    b"127.0.0.1, ::1",
    b"multipart/form-data; boundary=x", b"t=1e308", b"nan", b"null", b"http://evil.example:0",
    b"[::1", b"Bearer ", b"Basic Og==", b"bytes=0-", b"sessionid=x; csrftoken=\xff",
    b"99999999999999999999",
)  # fmt: skip  # one glance
# Framing is what tests/api/http_server generates; a LF would end the field.
_VALUE_BYTES = st.binary(max_size=40).map(lambda value: re.sub(rb"[\r\n]", b"", value))
_NAMES = st.sampled_from(_HEADERS) | st.from_regex(rb"X-[!#-'*+.^-z|~0-9-]{1,20}", fullmatch=True)
_FIELDS = st.tuples(_NAMES, st.sampled_from(_HEADER_VALUES) | _VALUE_BYTES)

# Surrogates too, which no UTF-8 can hold but an escape in JSON can.
_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
_TEXTS = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "\ufffe", "\U0010ffff", "\u202e\u2066", "\u200b",
    "\ufeff", "a\u0300" * 60, "\ufdfa" * 99, "\U0001f468\u200d\U0001f469", "x" * 255, "x" * 3000,
    "İ", "1" * 400, "\u2028", "+" * 65, "+499999999999999", "a@b", "a@\u3002",
    f"{'a' * 64}@{'b' * 63}.example",
    "a@xn--a.example", '"\\"@"@example.com', "٠١٢٣٤٥", "-0", "A" * 43, "A" * 100, "💩" * 1000,
)  # fmt: skip  # one glance
_NUMBERS = ("1e999", "-1E+400", "9" * 400, "-0", "0.1e-500", "NaN", "Infinity", "01", "1_0", "0x1")
# By field; others are covered by what is alike for all.
VALID = {
    "name": "Ada",
    "surname": "Lovelace",
    "email": "generated@example.com",
    "phone": "+34666123456",
    "hobbies": ["chess", "go"],
    "code": "000000",
    "tokens": ["a", "b"],
    "claims": True,
}

_SCALARS = (
    st.sampled_from(_TEXTS)
    | _ANY_TEXT
    | st.integers()
    | st.floats()
    | st.sampled_from((None, True, False))
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
_MALFORMED = st.sampled_from(
    (
        b"",
        b"{",
        b"[" * 20_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{}",
        b"name=Ada",
        b'{"name": "\xed\xa0\x80"}',
        b"{}{}",
        b"{'name': 1}",
        b'{"name": "\0"}',
    )
) | st.binary(max_size=60)


def encode(value: Any, *, ascii_only: bool = True) -> bytes:
    """Encodes JSON, and what is none: NaN, and surrogates as bytes."""
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def _values(name: str) -> st.SearchStrategy[bytes]:
    """Generates values of a field, encoded: half of the time a valid one, if it is known."""
    odd = (
        st.builds(encode, _JSON)
        | st.builds(encode, st.sampled_from(_TEXTS), ascii_only=st.booleans())
        | st.sampled_from(_NUMBERS).map(str.encode)
    )
    return st.just(encode(VALID[name])) | odd if name in VALID else odd


@cache  # hypothesis prepares each strategy at its first use
def bodies(names: frozenset[str]) -> st.SearchStrategy[bytes | None]:
    """Generates bodies of an operation whose fields have these names."""
    known = sorted(names)
    members = [st.tuples(st.just(encode(name)), _values(name)) for name in known]
    other = st.tuples(st.builds(encode, _ANY_TEXT), st.builds(encode, _JSON))
    complete = st.tuples(*members).map(_to_object)
    valid = {encode(name): encode(VALID.get(name, "A" * 43)) for name in known}
    nearly_valid = st.builds(
        lambda changed: _to_object((valid | dict(changed)).items()),
        st.lists(st.one_of(*members, other), max_size=1),
    )
    some = st.lists(st.one_of(*members, other), max_size=7).map(_to_object)  # repeats names too
    return st.one_of(
        nearly_valid,
        nearly_valid,
        nearly_valid,
        complete,
        some,
        complete,
        some,
        st.builds(encode, _JSON),
        _MALFORMED,
        st.none(),
    )


def _to_object(members: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(b"%b:%b" % member for member in members) + b"}"


def routes() -> Iterator[str]:
    """Yields the route of every URL of `api.urls`, converters included; needs Django."""
    from django.urls import get_resolver

    def walk(resolver: Any, prefix: str) -> Iterator[str]:
        for pattern in resolver.url_patterns:
            route = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern, route)
            else:
                yield route

    return walk(get_resolver(), "")


_SEGMENT = st.sampled_from((b"0", b"-1", b"1", b"9" * 30, b"%00", b"%ff", b"..", b"a" * 300)) | (
    st.uuids().map(lambda id_: str(id_).encode())
)
_TARGET_BYTES = st.binary(max_size=30).map(lambda value: re.sub(rb"[\0-\x20#\x7f]", b"", value))
_QUERY_NAMES = st.sampled_from(
    (b"to", b"q", b"p", b"o", b"e", b"next", b"capability", b"lang", b"_popup")
)


def _targets(route: str) -> st.SearchStrategy[bytes]:
    """Generates targets that match a route: its converters filled in, with and without a query."""
    parts = re.split(r"<[^>]*>|\(\?P<.*", route.replace("^", "").replace("$", ""))
    filled = [each for part in parts for each in (st.just(part.encode()), _SEGMENT)][:-1]
    path = st.tuples(*filled).map(b"".join)
    query = st.builds(lambda name, value: b"?%b=%b" % (name, value), _QUERY_NAMES, _TARGET_BYTES)
    suffix = st.one_of(st.just(b""), st.just(b""), st.just(b""), query, _TARGET_BYTES)
    return st.builds(lambda path, suffix: b"/" + path + suffix, path, suffix)


_MEDIA_TYPE = st.sampled_from((((b"Content-Type", b"application/json"),),) * 3 + ((),))
_MORE_HEADERS = st.just(()) | st.lists(_FIELDS, max_size=3).map(tuple)
_CREDENTIALS = st.sampled_from((*Credentials, Credentials.LIVE, Credentials.LIVE))


def requests(
    route: str, names: frozenset[str], methods: tuple[str, ...]
) -> st.SearchStrategy[GeneratedRequest]:
    """Generates requests to a route whose bodies have these fields; `methods`: more often these."""
    return st.builds(
        lambda method, target, media, headers, body, credentials: GeneratedRequest(
            method, target, media + headers, body, credentials
        ),
        st.sampled_from((*methods * 9, *METHODS)),
        _targets(route),
        _MEDIA_TYPE,
        _MORE_HEADERS,
        bodies(names),
        _CREDENTIALS,
    )
