"""What the views of the command side share: who calls, and what follows a commit."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from api.bearer import bearer_token
from domain import session
from domain.errors import InvalidToken, ServiceUnavailable
from domain.person import Person, Tombstone
from domain.ports import CommandResult
from domain.session import TokenClaims
from domain.stores import keys, profiles
from workers import queue


class WriteView(APIView):
    """A view whose answers are for one person, once."""

    http_method_names = ["get", "head", "post", "patch", "delete"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kw)
        response["Cache-Control"] = "no-store"
        return response


def bearer_of(request: Request) -> str:
    """The request's bearer token. Raises `InvalidToken` if it has none."""
    return bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))


def caller_of(request: Request) -> TokenClaims:
    """What the request's token says; whether its session lives is up to the command.

    Raises `InvalidToken`.
    """
    return session.verify_token(keys.get_keyring(), bearer_of(request))


def after_commit(committed: CommandResult[Person], *, is_new: bool = False) -> None:
    """Write the profile, so that the client reads its own write, and wake the workers.

    Returns when no near copy of the state before is in use; of a new person there is none.

    Both are best effort: the outbox rows stay open until a worker has seen to them.
    """
    # What fails here was logged where it happened, and the outbox row makes good for it.
    with suppress(ServiceUnavailable):
        profiles.write_profile(committed.person)
    queue.enqueue(committed.outbox_ids)
    if not is_new:
        profiles.sleep_max_staleness()


def revoke(
    request: Request,
    command: Callable[[TokenClaims], CommandResult[Person] | CommandResult[Tombstone]],
) -> None:
    """Carry out a command that ends sessions; returns once no reader takes them any more.

    Raises `InvalidToken`, and `Unavailable` while Redis is away: the outbox row completes it, and
    the same request again tells when it is done, with a 401.
    """
    token = caller_of(request)
    try:
        committed = command(token)
    except InvalidToken:
        profiles.project(token.person_id)
        profiles.sleep_max_staleness()
        raise
    after_revocation(committed)


def after_revocation(committed: CommandResult[Person] | CommandResult[Tombstone]) -> None:
    """Write what ends sessions; returns once no reader takes them any more.

    Raises `Unavailable` while Redis is away: the outbox row completes it.
    """
    try:
        # A hash that Redis has no room for is one that nobody can read by.
        with suppress(profiles.RedisOutOfMemory):
            profiles.write_profile(committed.person)
    finally:
        queue.enqueue(committed.outbox_ids)
    profiles.sleep_max_staleness()


def session_document(token: str, expires_at: datetime) -> dict[str, str]:
    """A new session as clients get it."""
    return {"token": token, "token_type": "Bearer", "expires_at": rfc3339(expires_at)}


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, in whole seconds, rounded up: never earlier than it is."""
    whole = moment.replace(microsecond=0, tzinfo=None)
    if moment.microsecond:
        whole += timedelta(seconds=1)
    return f"{whole.isoformat()}Z"
