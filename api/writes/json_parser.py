"""JSON parsing and rendering with orjson.

DRF's own parser lets deep nesting become a 500, and lone surrogates through. The size of a
body is limited by `api.writes.middleware.RequestBodyMiddleware`.
"""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from api.writes.serializers import ValidationFailed
from domain.model.errors import InvalidField, RollcallError


class MalformedJSON(RollcallError):
    """The body is not JSON (RFC 8259) in UTF-8."""

    code = "malformed_json"


class JSONParser(BaseParser):
    """Parses a body that is one JSON object.

    Raises `MalformedJSON`, and `ValidationFailed` for JSON of another type.
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
            raise ValidationFailed({"body": InvalidField("not_an_object", "Send a JSON object.")})
        return document


def json_response(
    data: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Returns a JSON response; DRF's `Response` costs more, because it supports templates."""
    return HttpResponse(
        orjson.dumps(data), status=status, headers=headers, content_type="application/json"
    )


def no_content() -> HttpResponse:
    """Returns a 204."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


class JSONOnlyNegotiation(BaseContentNegotiation):
    """Selects JSON whatever `Accept` says (RFC 9110 section 12.4.1 allows it)."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        base = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == base), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type
