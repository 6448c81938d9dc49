"""Hashes that differ from Postgres are mended, beside live traffic."""

from collections.abc import Sequence

from domain import profile
from domain.stores import bulk, profiles
from domain.stores.differences import Difference, Kind, compare

# The version guard lets no hash through that is not newer, and here one is wrong that is as new,
# or newer. It is replaced, or deleted, if nobody has written it since it was compared. Also when
# Redis is full: little is added by that.
_REPLACE_IF_STILL = """#!lua flags=allow-oom
if (redis.call('HGET', KEYS[1], 'v') or '') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[2] then redis.call('HSET', KEYS[1], unpack(ARGV, 3)) end
return 1
"""
_ROUNDS = 5


def mend(found: Sequence[Difference]) -> list[Difference]:
    """Bring these hashes to what Postgres says; returns those that could not be.

    All are compared again after it. Postgres may have gone on meanwhile, and its write may have
    been refused in favour of a hash that was newer than Postgres.
    Raises as `differences.of_people` does.
    """
    left = list(found)
    for _ in range(_ROUNDS):
        missing = [d.person for d in left if d.kind is Kind.MISSING and d.person]
        profiles.publish_all(missing)
        bulk.run(_REPLACE_IF_STILL, [_replacing(d) for d in left if d.kind is not Kind.MISSING])
        left = compare([d.id for d in left])
        if not left:
            break
    return left


def _replacing(difference: Difference) -> tuple[str, list[bytes]]:
    person = difference.person
    new = profiles.arguments(person) if person else []
    return profile.key_of(difference.id), [difference.standing, *new]
