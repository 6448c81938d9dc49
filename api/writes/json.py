"""JSON in and out, on orjson. Every body that a client sends is read here.

DRF's own parser lets deep nesting become a 500, an over-long body a 400, and lone surrogates
through.
"""

from collections.abc import Mapping
from typing import IO, Any, Protocol

import orjson
from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from domain.errors import RollcallError


class MalformedJSON(RollcallError):
    """The body is not JSON (RFC 8259) in UTF-8."""

    code = "malformed_json"


class BodyTooLarge(RollcallError):
    """The body is longer than `settings.BODY_MAX_BYTES`."""

    code = "body_too_large"


class Readable(Protocol):
    """What a body is read from: a stream, or a request."""

    def read(self, size: int, /) -> bytes:
        """At most that many octets; none at the end."""


class JSONParser(BaseParser):
    """Reads one JSON object, and no more octets than are allowed.

    Raises `BodyTooLarge`, `MalformedJSON`, and `ValidationError` for JSON of another type.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        body = read_at_most(stream, settings.BODY_MAX_BYTES)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise MalformedJSON from None
        if not isinstance(document, dict):
            detail = ErrorDetail("Send a JSON object.", code="not_an_object")
            raise ValidationError({"body": [detail]})
        return document


def read_at_most(stream: Readable, most: int) -> bytes:
    """All of `stream`, counted while it is read. Raises `BodyTooLarge` past `most` octets."""
    parts, count = [], 0
    while part := stream.read(most + 1 - count):
        parts.append(part)
        count += len(part)
        if count > most:
            raise BodyTooLarge
    return b"".join(parts)


def json_response(
    data: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A view's answer as JSON. DRF's own `Response` is a template's, with what those need."""
    return HttpResponse(
        orjson.dumps(data), status=status, headers=headers, content_type="application/json"
    )


def no_content() -> HttpResponse:
    """204, for what leaves nothing to say."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


class AlwaysJSON(BaseContentNegotiation):
    """JSON is all that is spoken, whatever `Accept` says (RFC 9110 section 12.4.1 allows it)."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        base = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == base), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type
