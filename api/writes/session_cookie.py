"""The session's token as a cookie, for browser apps whose scripts are not to see it.

A browser adds a cookie to requests that pages of others make too. `SameSite=Lax` keeps it out of
those of other sites, but for navigations; against pages of the same site, such as those of other
subdomains, an unsafe method needs an allowed `Origin`, which no script can set.
"""

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from api.bearer import SESSION_COOKIE
from domain.model.errors import OriginNotAllowed

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1


def is_by_cookie(request: HttpRequest) -> bool:
    """Returns whether the session is that of the cookie, if there is one: `Authorization` wins."""
    return "HTTP_AUTHORIZATION" not in request.META


def check_origin(request: HttpRequest) -> None:
    """Raises `OriginNotAllowed` if another site's page may have sent the request."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.META.get("HTTP_ORIGIN", "")
    own = (f"{request.scheme}://{request.get_host()}", settings.PUBLIC_URL)
    if origin not in own and origin not in settings.CORS_ALLOWED_ORIGINS:
        raise OriginNotAllowed


def set_session_cookie(response: HttpResponse, token: str, expires_at: datetime) -> None:
    """Gives the browser the token, until the session expires."""
    max_age = int((expires_at - datetime.now(UTC)).total_seconds())
    _set_cookie(response, token, max_age)


def clear_session_cookie(response: HttpResponse) -> None:
    """Removes the token from the browser."""
    _set_cookie(response, "", 0)


def _set_cookie(response: HttpResponse, value: str, max_age: int) -> None:
    response.set_cookie(
        SESSION_COOKIE, value, max_age, path="/", secure=True, httponly=True, samesite="Lax"
    )
