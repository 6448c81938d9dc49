"""Repairs the hashes that differ from Postgres, during live traffic."""

from collections.abc import Sequence

from domain import profile
from domain.projection.client import get_bulk_pool
from domain.projection.redis_command import Argument, run_script
from domain.projection.verify import Difference, Kind, compare_now
from domain.projection.writer import flatten, write_profiles

# A compare-and-set of the writer keeps the same and higher versions, which these hashes have. So
# they are replaced, or deleted, if unchanged since the comparison.
_REPLACE_IF_UNCHANGED = """
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[2] then redis.call('HSET', KEYS[1], unpack(ARGV, 2)) end
return 1
"""
_MAX_ATTEMPTS = 5


def repair(differences: Sequence[Difference]) -> list[Difference]:
    """Rewrites these hashes from Postgres; returns those that still differ.

    All are compared again after it: Postgres may have changed meanwhile, and its write may have
    been rejected in favour of a hash with a higher version. Raises as `verify_people` does.
    """
    remaining = list(differences)
    for _ in range(_MAX_ATTEMPTS):
        write_profiles([d.person for d in remaining if d.kind is Kind.MISSING and d.person])
        replaced = (d for d in remaining if d.kind is not Kind.MISSING)
        run_script(get_bulk_pool(), _REPLACE_IF_UNCHANGED, map(_call, replaced))
        remaining = compare_now([d.id for d in remaining])
        if not remaining:
            break
    return remaining


def _call(difference: Difference) -> list[Argument]:
    fields = flatten(difference.person) if difference.person else []
    return [profile.redis_key(difference.id), difference.redis_version, *fields]
