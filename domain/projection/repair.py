"""Repairs the hashes that differ from Postgres, during live traffic."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from domain import profile
from domain.model.errors import ServiceUnavailable
from domain.postgres.errors import translate_database_errors
from domain.projection import write_script
from domain.projection.client import get_bulk_pool, translate_redis_errors
from domain.projection.redis_command import run_script
from domain.projection.verify import Difference, Kind, compare_now

log = structlog.get_logger(__name__)

_DELETE_IF_UNCHANGED = """
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
"""
_MAX_ROUNDS = 5


def repair(differences: Sequence[Difference]) -> list[Difference]:
    """Rewrites these hashes from Postgres; returns those that still differ.

    A compare-and-set of the writer keeps the same and higher versions, which these hashes have. So
    they are replaced if unchanged since the comparison. All are compared again after it: both may
    have changed since. A tombstone is kept: the person has to be erased in Postgres again. Raises
    as `verify_people` does.
    """
    remaining = list(differences)
    for _ in range(_MAX_ROUNDS):
        calls = [
            write_script.encode_call(d.person, f"={d.redis_version.decode(errors='replace')}")
            for d in remaining
            if d.person and d.kind is not Kind.ERASED
        ]
        run_script(get_bulk_pool(), write_script.WRITE, calls)
        orphans = [(profile.redis_key(d.id), d.redis_version) for d in remaining if not d.person]
        run_script(get_bulk_pool(), _DELETE_IF_UNCHANGED, orphans)
        remaining = compare_now([d.id for d in remaining])
        if all(d.kind is Kind.ERASED for d in remaining):
            break
    return remaining


def resolve_conflicts(person_ids: Sequence[UUID]) -> None:
    """Repairs hashes for which the writer has reported a conflict: Redis has a later write, or
    Postgres has lost commits in a failover, and uses their versions again.

    When this returns, a session that Postgres does not know is no longer read. Raises
    `ServiceUnavailable` if a server is unavailable, or the hashes change all the time.
    """
    with translate_redis_errors(), translate_database_errors():
        ahead = [d for d in compare_now(person_ids) if d.kind in _AHEAD]
        if not ahead:
            return
        remaining = [d for d in repair(ahead) if d.kind in _AHEAD]
    log.warning("lost_commits_detected", people=len(ahead), remaining=len(remaining))
    if any(d.kind is not Kind.ERASED for d in remaining):
        raise ServiceUnavailable


_AHEAD = {Kind.AHEAD, Kind.MISMATCH, Kind.ERASED}  # what only lost commits explain
