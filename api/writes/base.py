"""What the write views share: base class, bearer token, revocation, new sessions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.views import APIView

from api.bearer import bearer_token
from api.client_ip import client_network, displayed_network
from api.user_agent import describe_user_agent
from api.writes.after_commit import project_revocation
from api.writes.serializers import EmptySerializer
from domain.commands import sessions
from domain.commands.ports import CommandResult
from domain.model import session_token
from domain.model.errors import InvalidToken, NotFound
from domain.model.person import Person, SessionClient, Tombstone
from domain.model.session_token import TokenClaims
from domain.postgres import keyring
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer


class NoStoreAPIView(APIView):
    """A view whose responses must not be stored."""

    http_method_names = ["get", "head", "post", "patch", "delete"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kw)
        response["Cache-Control"] = "no-store"
        return response


def get_bearer_token(request: Request) -> str:
    """Returns the request's bearer token. Raises `InvalidToken` if it has none."""
    return bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))


def get_network(request: Request) -> str:
    """Returns the network that the request comes from, by which requests and messages are counted;
    `ClientIPMiddleware` has set the address.
    """
    return client_network(request.META["REMOTE_ADDR"])


def get_session_client(request: Request) -> SessionClient:
    """Returns what is kept beside a session of where the request comes from."""
    user_agent = describe_user_agent(request.META.get("HTTP_USER_AGENT", ""))
    return SessionClient(user_agent, displayed_network(request.META["REMOTE_ADDR"]))


def get_token_claims(request: Request) -> TokenClaims:
    """Returns the claims of the request's token; the command checks that its session is active.

    Raises `InvalidToken`.
    """
    return session_token.verify_token(keyring.get_keyring(), get_bearer_token(request))


def authenticate(request: Request) -> UUID:
    """Returns the id of the person whose active session the request has. Raises `InvalidToken`."""
    return sessions.authenticate(
        get_bearer_token(request), unit_of_work, keyring.get_keyring(), datetime.now(UTC)
    )


def require_empty_body(request: Request) -> None:
    """Raises `ValidationFailed` if the request has a body, other than an empty object."""
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0"):
        EmptySerializer.parse(request.data)


def run_revocation(
    request: Request,
    command: Callable[[TokenClaims], CommandResult[Person] | CommandResult[Tombstone]],
) -> None:
    """Executes a command that revokes sessions; returns once no reader accepts them.

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


def serialize_session(token: str, expires_at: datetime) -> dict[str, str | None]:
    """Returns a new session as in responses."""
    return {"token": token, "token_type": "Bearer", "expires_at": format_rfc3339(expires_at)}


def format_rfc3339(time: datetime | None) -> str | None:
    """Formats a time in UTC, in whole seconds, rounded up; None stays None."""
    if time is None:
        return None
    rounded = time.replace(microsecond=0, tzinfo=None)
    if time.microsecond:
        rounded += timedelta(seconds=1)
    return f"{rounded.isoformat()}Z"
