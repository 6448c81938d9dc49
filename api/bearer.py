"""The bearer token of a request (RFC 6750 section 2.1)."""

from domain.model.errors import InvalidToken


def bearer_token(authorization: str) -> str:
    """Returns the token in `Bearer <token>`, the value of `Authorization` (empty if absent).

    Raises `InvalidToken` for anything else. Two headers arrive as one, joined by a comma, and are
    rejected like any other invalid value.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or " " in token or "," in token:
        raise InvalidToken
    return token
