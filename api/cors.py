"""Cross-origin resource sharing (the Fetch standard's "CORS protocol"), alike in both processes.

The write process has django-cors-headers, configured with the constants here; the read process
calls the functions, which return what django-cors-headers adds (tests/api/test_cors.py compares
them).
"""

from collections.abc import Collection

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "x-request-id",
)
EXPOSED_HEADERS = (
    "ETag",
    "Location",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-ID",
    "Idempotency-Replayed",
)
MAX_AGE = 86_400  # seconds that a preflight may be cached; browsers cap it (Chromium at 7,200)

type Headers = list[tuple[str, str]]


def preflight_headers(origin: str, allowed_origins: Collection[str]) -> Headers:
    """Returns the headers of the 200 without a body that answers a preflight request: `OPTIONS`
    with `Access-Control-Request-Method`. `origin` is the value of `Origin`, empty if absent.

    A preflight from a foreign origin is a 200 as well: without `Access-Control-Allow-Origin` the
    browser does not send the request.
    """
    headers = response_headers(origin, allowed_origins)
    if len(headers) > 1:
        headers += [
            ("access-control-allow-headers", ", ".join(ALLOWED_HEADERS)),
            ("access-control-allow-methods", ", ".join(ALLOWED_METHODS)),
            ("access-control-max-age", str(MAX_AGE)),
        ]
    return headers


def response_headers(origin: str, allowed_origins: Collection[str]) -> Headers:
    """Returns the headers to add to any response, an error included.

    `Vary` is needed also where the origin is absent or foreign, because a cache must not serve that
    response to an allowed one; it counts in addition to another `Vary` (RFC 9110 section 5.3).
    Empty if no origin is allowed.
    """
    if not allowed_origins:
        return []
    headers = [("vary", "origin")]
    if origin in allowed_origins:
        headers += [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),  # the session's cookie
            ("access-control-expose-headers", ", ".join(EXPOSED_HEADERS)),
        ]
    return headers
