"""Caches parsed header sections, which clients repeat byte by byte."""

from typing import Final

from api.http_server.request import RepeatedHead, Request

_BEARER: Final = b"uthorization: Bearer "  # with either spelling of its first letter
# RFC 9110 section 11.2
_TOKEN68: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
_MAX_ENTRIES, _MAX_POSTS = 1024, 256
_MAX_HEAD_BYTES = 1024
_P: Final = 0x50  # of POST
_MAX_BODY_BYTES = 4096  # of one that comes with its header section; no limit of a body is lower


class HeadCache:
    """Parsed header sections of GET and HEAD by their bytes without the bearer token, and of POST
    with it: a backend that introspects tokens sends its own key each time.

    The token may differ between two requests of one entry: its characters cannot end the header
    field, so they do not change how the rest is parsed. What has a chunked body, or asks to close
    the connection, is not cached. Without this cache a read costs at least a fifth more CPU.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, RepeatedHead] = {}
        self._posts: dict[bytes, Request] = {}

    def find(self, data: bytes) -> Request | None:
        """Returns the request in `data` if that is one whole request of a cached kind."""
        if data[0] == _P:  # an index costs less than a method
            return self._find_post(data)
        start = data.find(_BEARER) + len(_BEARER)
        end = data.find(b"\r", start)
        head = self._heads.get(data[:start] + data[end:])
        if head is None:
            return None
        token = data[start:end]
        if token.translate(None, _TOKEN68):
            return None
        return Request(head.method, head.target, head.headers, head=head, token=token)

    def find_head(self, data: bytes) -> Request | None:
        """Returns the request without its body, if `data` is a cached header section of a POST."""
        post = self._posts.get(data)
        return post and Request("POST", post.target, post.fields, post.content_length)

    def _find_post(self, data: bytes) -> Request | None:
        end = data.find(b"\r\n\r\n") + 4
        post = self._posts.get(data[:end])
        if post is None or post.content_length != len(data) - end:
            return None
        return Request("POST", post.target, post.fields, post.content_length, body=data[end:])

    def add(self, data: bytes, request: Request) -> None:
        """Caches the request of a header section, `data`, if it is of a kind that repeats."""
        if request.close_connection or len(data) > _MAX_HEAD_BYTES:
            return
        if request.method == "POST":
            self._add_post(data, request)
            return
        start = data.find(_BEARER) + len(_BEARER)
        end = data.find(b"\r", start)
        authorization = b"Bearer " + data[start:end]
        if (
            request.method in ("GET", "HEAD")
            and request.content_length == 0
            # It is the one field of that name, which begins where the token was found.
            and data[:start].lower().endswith(b"\r\nauthorization: bearer ")
            and request.fields.get("authorization", "").encode("latin-1") == authorization
        ):
            if len(self._heads) >= _MAX_ENTRIES:
                self._heads.clear()
            key = data[:start] + data[end:]
            fields = {**request.fields}
            del fields["authorization"]
            self._heads[key] = RepeatedHead(request.method, request.target, fields)

    def _add_post(self, data: bytes, request: Request) -> None:
        is_short = request.content_length and request.content_length <= _MAX_BODY_BYTES
        if is_short and not request.expects_continue and "authorization" in request.fields:
            if len(self._posts) >= _MAX_POSTS:
                self._posts.clear()
            self._posts[data] = Request(
                "POST", request.target, request.fields, request.content_length
            )
