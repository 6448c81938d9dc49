"""The profile endpoint: one HMGET, and the stored octets. No SQL, no rendering."""

import time

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from api.bearer import bearer_token
from api.problems import only, problem_of
from domain import profile, session
from domain.errors import RollcallError, Unavailable
from domain.profile import Found, Missing
from domain.stores import keys, profiles

log = structlog.get_logger(__name__)


@only("GET", "HEAD")
def profile_view(request: HttpRequest) -> HttpResponse:
    """GET and HEAD of the bearer's own profile: 200, 304, 401, 405 or 503."""
    try:
        found = _find(bearer_token(request.META.get("HTTP_AUTHORIZATION", "")))
    except RollcallError as error:
        response = problem_of(request, error)
    else:
        response = _answer(request, found)
    response["Vary"] = "Authorization"
    return response


def _find(text: str) -> Found:
    token = session.check(keys.ring(), text)
    try:
        return profile.answer(token, profiles.read(token), time.time())
    except Missing:
        # Asked for once, however many wait; the relay sees to it. The client comes back.
        log.info("profile_missing", person_id=token.person_id.hex)
        profiles.want(token.person_id)
        raise Unavailable from None


def _answer(request: HttpRequest, found: Found) -> HttpResponse:
    etag = found.etag.decode()
    if _matches(request.META.get("HTTP_IF_NONE_MATCH", ""), etag):
        response = HttpResponse(status=304)
        del response["Content-Type"]
        response["Content-Length"] = str(len(found.body))  # that of a 200, or none: RFC 9110 8.6
    else:
        response = HttpResponse(found.body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`."""
    tags = [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]
    return "*" in tags or etag in tags
