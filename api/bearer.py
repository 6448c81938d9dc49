"""The token of a request: a bearer token (RFC 6750 section 2.1), or the session's cookie."""

import re

from domain.model.errors import InvalidToken

# Browsers accept a cookie of that prefix from this host alone, over https: no subdomain can set it.
SESSION_COOKIE = "__Host-session"
_COOKIE = re.compile(rf"(?:^|;)[ \t]*{SESSION_COOKIE}=([^;]*)")


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


def cookie_token(cookie: str) -> str:
    """Returns the token in the session's cookie, from the value of `Cookie` (empty if absent).

    Raises `InvalidToken` if there is none, and for several of that name: a browser sends one.
    """
    tokens: list[str] = _COOKIE.findall(cookie)
    if len(tokens) != 1:
        raise InvalidToken
    return tokens[0].strip(" \t")


def find_session_token(authorization: str | None, cookie: str) -> str:
    """Returns the token of a request: of `Authorization` if it has that header (None: it has not),
    else of `Cookie`. Raises `InvalidToken`.
    """
    return cookie_token(cookie) if authorization is None else bearer_token(authorization)
