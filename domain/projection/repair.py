"""Repairs the hashes that differ from Postgres, during live traffic."""

from collections.abc import Sequence

from domain import profile
from domain.projection import pipeline, writer
from domain.projection.verify import Difference, Kind, compare_now

# The compare-and-set writes newer versions only, and these hashes have the same version or a higher
# one. So they are replaced, or deleted, if unchanged since the comparison. Allowed when Redis is
# out of memory: it adds little.
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
    """Rewrites these hashes from Postgres; returns those that still differ.

    All are compared again after it: Postgres may have changed meanwhile, and its write may have
    been rejected in favour of a hash with a higher version. Raises as `differences.verify_people`
    does.
    """
    remaining = list(differences)
    for _ in range(_MAX_ATTEMPTS):
        missing = [d.person for d in remaining if d.kind is Kind.MISSING and d.person]
        writer.write_profiles(missing)
        pipeline.run_script(
            _REPLACE_IF_UNCHANGED,
            [_replace_args(d) for d in remaining if d.kind is not Kind.MISSING],
        )
        remaining = compare_now([d.id for d in remaining])
        if not remaining:
            break
    return remaining


def _replace_args(difference: Difference) -> tuple[str, list[bytes]]:
    person = difference.person
    script_args = writer.script_args(person) if person else []
    return profile.redis_key(difference.id), [difference.redis_version, *script_args]
