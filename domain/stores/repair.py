"""Hashes that differ from Postgres are mended, beside live traffic."""

from collections.abc import Sequence

from domain import profile
from domain.stores import bulk, profiles
from domain.stores.differences import Difference, Kind, compare_now

# The version guard lets no hash through that is not newer, and here one is wrong that is as new,
# or newer. It is replaced, or deleted, if nobody has written it since it was compared. Also when
# Redis is full: little is added by that.
_REPLACE_IF_UNCHANGED = """#!lua flags=allow-oom
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[2] then redis.call('HSET', KEYS[1], unpack(ARGV, 3)) end
return 1
"""
_MAX_ATTEMPTS = 5


def repair(differences: Sequence[Difference]) -> list[Difference]:
    """Bring these hashes to what Postgres says; returns those that could not be.

    All are compared again after it. Postgres may have gone on meanwhile, and its write may have
    been refused in favour of a hash that was newer than Postgres.
    Raises as `differences.of_people` does.
    """
    remaining = list(differences)
    for _ in range(_MAX_ATTEMPTS):
        missing = [d.person for d in remaining if d.kind is Kind.MISSING and d.person]
        profiles.write_profiles(missing)
        bulk.run_script(
            _REPLACE_IF_UNCHANGED,
            [_replace_args(d) for d in remaining if d.kind is not Kind.MISSING],
        )
        remaining = compare_now([d.id for d in remaining])
        if not remaining:
            break
    return remaining


def _replace_args(difference: Difference) -> tuple[str, list[bytes]]:
    person = difference.person
    script_args = profiles.script_args(person) if person else []
    return profile.redis_key(difference.id), [difference.redis_version, *script_args]
