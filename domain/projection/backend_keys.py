"""Writes the set of backend keys to the primaries of the profile Redis."""

from domain import backend_keys
from domain.backend_keys import IDENTITY, KEYS, VERSION
from domain.postgres.backend_keys import get_key_set
from domain.projection.client import Primary, get_primaries, translate_redis_errors
from domain.projection.redis_command import run_script

# Atomic, so that the set belongs to the server whose identity was read. A newer set in the same
# server stays: another process has read Postgres later, or Postgres has lost a change. ARGV: the
# version, and the keys. Flagged, so that a key can be ended in a Redis that is full.
_WRITE = f"""#!lua flags=allow-oom
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local identity = run_id .. ':' .. replid
local written_to, version, keys = unpack(
  redis.call('HMGET', KEYS[1], '{IDENTITY}', '{VERSION}', '{KEYS}'))
if written_to == identity then
  if (tonumber(version) or 0) > tonumber(ARGV[1]) then return 0 end
  if version == ARGV[1] and keys == ARGV[2] then return 1 end
end
redis.call('HSET', KEYS[1], '{IDENTITY}', identity, '{VERSION}', ARGV[1], '{KEYS}', ARGV[2])
return 1
"""


def project(primary: Primary) -> bool:
    """Writes the current set to a primary, unless it has it; returns whether Postgres knows what
    readers accept: False if Redis has a newer set.

    Raises `ServiceUnavailable`, and Django's `OperationalError` and `InterfaceError`.
    """
    keys = get_key_set()
    key = backend_keys.redis_key(primary.hash_tag)
    with translate_redis_errors():
        call = (key, keys.version, backend_keys.encode_keys(keys))
        return bool(run_script(primary.pool, _WRITE, [call])[0])


def project_to_all() -> bool:
    """Writes the current set to all primaries; returns as `project` does, and raises the same."""
    with translate_redis_errors():
        primaries = get_primaries()
    results = [project(primary) for primary in primaries]  # to all, whatever the first one has
    return all(results)
