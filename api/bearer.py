"""The bearer token of a request (RFC 6750 section 2.1)."""

from django.http import HttpRequest
from rest_framework.request import Request

from domain.errors import InvalidToken


def bearer_token(request: HttpRequest | Request) -> str:
    """The token in `Authorization: Bearer <token>`. Raises `InvalidToken` for anything else.

    Two headers arrive as one, joined by a comma, and are refused like any other odd value.
    """
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = header.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or " " in token or "," in token:
        raise InvalidToken
    return token
