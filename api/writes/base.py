"""What the write views share: base class, bearer token, revocation, new sessions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NoReturn
from uuid import UUID

import structlog
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from api.bearer import find_session_token
from api.client_ip import client_network, displayed_network
from api.user_agent import describe_user_agent
from api.writes.after_commit import project_revocation
from api.writes.json_parser import json_response, no_content
from api.writes.serializers import EmptySerializer
from api.writes.session_cookie import (
    check_origin,
    clear_session_cookie,
    is_by_cookie,
    set_session_cookie,
)
from domain.commands import sessions
from domain.commands.ports import CommandResult
from domain.commands.sessions import NewSession
from domain.model import session_token
from domain.model.errors import InvalidToken, NotFound, ServiceUnavailable
from domain.model.language import negotiate_language
from domain.model.person import Person, SessionClient, Tombstone
from domain.model.session_token import TokenClaims
from domain.postgres import keyring
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer

log = structlog.get_logger(__name__)


class NoStoreAPIView(APIView):
    """A view whose responses must not be stored."""

    http_method_names = ["get", "head", "post", "patch", "delete"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kw)
        response["Cache-Control"] = "no-store"
        return response


def get_session_token(request: Request) -> str:
    """Returns the request's token, of `Authorization` or of the cookie.

    Raises `InvalidToken` if it has none, and `OriginNotAllowed` if a page of another site may have
    made the browser add the cookie.
    """
    get = request.META.get
    token = find_session_token(get("HTTP_AUTHORIZATION"), get("HTTP_COOKIE", ""))
    if is_by_cookie(request):
        check_origin(request)
    return token


def get_network(request: Request) -> str:
    """Returns the network that the request comes from, by which requests and messages are counted;
    `ClientIPMiddleware` has set the address.
    """
    return client_network(request.META["REMOTE_ADDR"])


def get_language(request: Request) -> str | None:
    """Returns the supported language that the request prefers; None: the default."""
    return negotiate_language(request.META.get("HTTP_ACCEPT_LANGUAGE", ""))


def get_session_client(request: Request) -> SessionClient:
    """Returns what is kept beside a session of where the request comes from."""
    user_agent = describe_user_agent(request.META.get("HTTP_USER_AGENT", ""))
    return SessionClient(user_agent, displayed_network(request.META["REMOTE_ADDR"]))


def get_token_claims(request: Request) -> TokenClaims:
    """Returns the claims of the request's token; the command checks that its session is active.

    Raises `InvalidToken`.
    """
    return session_token.verify_token(keyring.get_keyring(), get_session_token(request))


def authenticate(request: Request) -> UUID:
    """Returns the id of the person whose active session the request has. Raises `InvalidToken`."""
    return sessions.authenticate(
        get_session_token(request), unit_of_work, keyring.get_keyring(), datetime.now(UTC)
    )


def refuse_misrouted(event: str) -> NoReturn:
    """Refuses what the read process serves, although a load balancer should have routed it there:
    only that checks whether a profile in Redis may be trusted (fencing, ended sessions).

    Raises `ServiceUnavailable`: a 503 is retried by clients and proxies, and seen by operators, who
    would learn nothing from a 404.
    """
    _log_once(event)
    raise ServiceUnavailable


@cache
def _log_once(event: str) -> None:
    """Logs an error once a process: a load balancer that misroutes one request misroutes all."""
    log.error(event)


def require_empty_body(request: Request) -> None:
    """Raises `ValidationFailed` if the request has a body, other than an empty object."""
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
        EmptySerializer.parse(request.data)


def run_revocation(
    request: Request,
    command: Callable[[TokenClaims], CommandResult[Person] | CommandResult[Tombstone]],
) -> HttpResponse:
    """Executes a command that revokes sessions; returns a 204 once no reader accepts them, which
    clears the cookie if its session is one of them.

    Raises `InvalidToken`, and `ServiceUnavailable` while Redis is unavailable: the outbox entry
    completes it, and repeating the request shows completion with a 401. Raises `NotFound` if the
    command does: for what was revoked before, once no reader accepts it.
    """
    token = get_token_claims(request)
    try:
        committed = command(token)
    except (InvalidToken, NotFound):
        writer.project(token.person_id)
        writer.sleep_max_staleness()
        raise
    project_revocation(committed)
    response = no_content()
    if is_by_cookie(request) and not _has_session(committed.person, token):
        clear_session_cookie(response)
    return response


def _has_session(person: Person | Tombstone, token: TokenClaims) -> bool:
    return isinstance(person, Person) and any(s.digest == token.digest for s in person.sessions)


def session_response(
    session: NewSession, body: dict[str, Any], *, as_cookie: bool, **options: Any
) -> HttpResponse:
    """Returns `body` and a new session, whose token is in the body, or `as_cookie` in a cookie."""
    fields = {} if as_cookie else {"token": session.token}
    fields["token_type"] = "Cookie" if as_cookie else "Bearer"
    fields["expires_at"] = str(format_rfc3339(session.expires_at))
    response = json_response(body | {"session": fields}, **options)
    if as_cookie:
        set_session_cookie(response, session.token, session.expires_at)
    return response


def format_rfc3339(time: datetime | None) -> str | None:
    """Formats a time in UTC, in whole seconds, rounded up; None stays None."""
    if time is None:
        return None
    rounded = time.replace(microsecond=0, tzinfo=None)
    if time.microsecond:
        rounded += timedelta(seconds=1)
    return f"{rounded.isoformat()}Z"
