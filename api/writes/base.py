"""Base of the write views: token helpers, and the projection after a commit."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from api.bearer import bearer_token
from domain.commands.ports import CommandResult
from domain.model import session_token
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.person import Person, Tombstone
from domain.model.session_token import TokenClaims
from domain.postgres import keyring
from domain.projection import writer
from workers import queue


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


def get_token_claims(request: Request) -> TokenClaims:
    """Returns the claims of the request's token; the command checks that its session is active.

    Raises `InvalidToken`.
    """
    return session_token.verify_token(keyring.get_keyring(), get_bearer_token(request))


def project_and_enqueue(committed: CommandResult[Person], *, is_new: bool = False) -> None:
    """Writes the profile to Redis, so that the client reads its own write, and enqueues the outbox
    entries. Both are best effort: the entries stay unfinished until a worker has completed them.

    Sleeps for the client caches' maximum staleness, unless the person is new: none is cached.
    """
    # Logged where it failed; the outbox entry repeats the write.
    with suppress(ServiceUnavailable):
        writer.write_profile(committed.person)
    queue.enqueue(committed.outbox_ids)
    if not is_new:
        writer.sleep_max_staleness()


def run_revocation(
    request: Request,
    command: Callable[[TokenClaims], CommandResult[Person] | CommandResult[Tombstone]],
) -> None:
    """Executes a command that revokes sessions; returns once no reader accepts them.

    Raises `InvalidToken`, and `Unavailable` while Redis is unavailable: the outbox entry completes
    it, and repeating the request shows completion with a 401.
    """
    token = get_token_claims(request)
    try:
        committed = command(token)
    except InvalidToken:
        writer.project(token.person_id)
        writer.sleep_max_staleness()
        raise
    project_revocation(committed)


def project_revocation(committed: CommandResult[Person] | CommandResult[Tombstone]) -> None:
    """Writes a revocation to Redis; returns once no reader accepts the sessions.

    Raises `Unavailable` while Redis is unavailable: the outbox entry completes it.
    """
    try:
        # Without memory for the hash there is none, so no session can be read.
        with suppress(writer.RedisOutOfMemory):
            writer.write_profile(committed.person)
    finally:
        queue.enqueue(committed.outbox_ids)
    writer.sleep_max_staleness()


def serialize_session(token: str, expires_at: datetime) -> dict[str, str]:
    """Returns a new session as in responses."""
    return {"token": token, "token_type": "Bearer", "expires_at": format_rfc3339(expires_at)}


def format_rfc3339(time: datetime) -> str:
    """Formats a time in UTC, in whole seconds, rounded up."""
    rounded = time.replace(microsecond=0, tzinfo=None)
    if time.microsecond:
        rounded += timedelta(seconds=1)
    return f"{rounded.isoformat()}Z"
