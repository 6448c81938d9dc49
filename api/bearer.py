"""The bearer token of a request (RFC 6750 section 2.1)."""

from domain.model.errors import InvalidToken


def bearer_token(authorization: str) -> str:
    """The token in `Bearer <token>`, the value of `Authorization` (empty if there is none).

    Raises `InvalidToken` for anything else. Two headers arrive as one, joined by a comma, and are
    refused like any other odd value.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or " " in token or "," in token:
        raise InvalidToken
    return token
