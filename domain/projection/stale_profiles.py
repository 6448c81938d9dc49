"""Takes profiles that may be older than Postgres out of a primary: readers then miss them."""

from collections.abc import Sequence
from itertools import batched, chain
from uuid import UUID

from domain import profile
from domain.postgres import person_queries
from domain.projection.client import Primary
from domain.projection.redis_command import Argument, execute_pipeline, run_script, scan_keys

# ARGV: keys and versions; without a version, Postgres does not know the person. A hash with that
# version has what Postgres has, one with a higher version was written after it was read, and a
# tombstone is never older. All others get the version, which keeps late writes out, and lose their
# profile, which is a cache miss. Sessions stay: see `write_script`.
_MARK = """#!lua flags=allow-oom,allow-cross-slot-keys
local count = 0
for i = 1, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('DEL', ARGV[i])
  else
    local version, etag = unpack(redis.call('HMGET', ARGV[i], 'v', 'e'))
    if etag ~= '' and (tonumber(version) or 0) < tonumber(ARGV[i + 1]) then
      redis.call('HDEL', ARGV[i], 'b', 'e')
      redis.call('HSET', ARGV[i], 'v', ARGV[i + 1])
      count = count + 1
    end
  end
end
return count
"""
_MARK_BATCH = 500  # people; Redis does nothing else for 2 ms
_QUERY_BATCH = 10_000  # people
_SCAN_COUNT = 1_000  # keys


def mark(primary: Primary, person_ids: Sequence[UUID]) -> int:
    """Marks the hashes that are older than Postgres; returns how many."""
    marked = 0
    for ids in batched(person_ids, _QUERY_BATCH):
        versions = person_queries.get_versions(ids)
        pairs = [
            (profile.redis_key(person_id), versions.get(person_id, ""))
            for person_id in ids
            if primary.stores(person_id)
        ]
        calls: list[list[Argument]] = [
            list(chain.from_iterable(batch)) for batch in batched(pairs, _MARK_BATCH)
        ]
        counts: list[int] = run_script(primary.pool, _MARK, calls, num_keys=0)
        marked += sum(counts)
    return marked


def delete_all(primary: Primary) -> int:
    """Deletes all profile hashes; returns how many. Redis may have other keys, which stay.

    Raises `RedisError`.
    """
    deleted = 0
    for keys in scan_keys(primary.pool, profile.KEY_PATTERN, _SCAN_COUNT):
        # One key each: in a Redis Cluster they are in several slots.
        counts: list[int] = execute_pipeline(primary.pool, [("UNLINK", key) for key in keys])
        deleted += sum(counts)
    return deleted
