"""JSON in and out, on orjson. Every body that a client sends is read here.

DRF's own parser lets deep nesting become a 500, and lone surrogates through. How long a body may
be is up to `api.writes.middleware.RequestBodyMiddleware`.
"""

from typing import IO, Any

import orjson
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from domain.errors import RollcallError


class MalformedJSON(RollcallError):
    """The body is not JSON (RFC 8259) in UTF-8."""

    code = "malformed_json"


class JSONParser(BaseParser):
    """Parses a body that is one JSON object.

    Raises `MalformedJSON`, and `ValidationError` for JSON of another type.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        try:
            document = orjson.loads(stream.read())
        except orjson.JSONDecodeError:
            raise MalformedJSON from None
        if not isinstance(document, dict):
            detail = ErrorDetail("Send a JSON object.", code="not_an_object")
            raise ValidationError({"body": [detail]})
        return document


class JSONRenderer(BaseRenderer):
    """Writes a view's answer as JSON."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """JSON is all that is spoken, whatever `Accept` says (RFC 9110 section 12.4.1 allows it)."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        base = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == base), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type
