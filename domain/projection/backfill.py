"""The queue of cache misses: readers add to it, and the relay pops and projects them."""

from typing import cast
from uuid import UUID

from domain import profile
from domain.projection.client import get_client, translate_redis_errors


def pop_misses(limit: int, timeout: float) -> list[UUID]:
    """Pops up to `limit` missed people, most missed first; waits up to `timeout` s for the first.

    Raises `ServiceUnavailable`.
    """
    with translate_redis_errors():
        first = get_client().bzpopmax(profile.BACKFILL_QUEUE, timeout=timeout)
        if first is None:
            return []
        others = get_client().zpopmax(profile.BACKFILL_QUEUE, limit - 1)
    members = [first[1], *(member for member, _ in cast(list[tuple[bytes, float]], others))]
    return [UUID(hex=cast(bytes, member).decode()) for member in members]
