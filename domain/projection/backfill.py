"""The queue of cache misses: readers add to it, and the relay pops and projects them."""

from uuid import UUID

from domain.projection.client import Primary, translate_redis_errors
from domain.projection.redis_command import execute


def pop_misses(primary: Primary, limit: int, timeout: float) -> list[UUID]:
    """Pops up to `limit` people that this primary lacks, most missed first; waits up to `timeout` s
    for the first.

    Raises `ServiceUnavailable`.
    """
    command = "BZMPOP", f"{timeout:f}", 1, primary.backfill_queue, "MAX", "COUNT", limit
    with translate_redis_errors():
        reply = execute(primary.pool, *command)
    return [UUID(hex=member.decode()) for member, _ in reply[1]] if reply else []
