"""The Lua script that writes a profile hash: a compare-and-set on its version.

It reports a conflict where a commit seems to be missing in Postgres: the same version with other
content, a higher version, a tombstone in the way of a person. See `domain.projection.repair`.

A session that a new state lacks was revoked, or Postgres has lost it in a failover. Its field is
kept for a day, with a negative time (see `domain.profile`). A failover may also lose a revocation:
that session is not read again, because Redis still has the field. Only a double fault revives it:
Postgres loses the revocation, and Redis the field. (A mark keeps these fields, an empty Redis has
none.)
"""

import time
from datetime import datetime
from itertools import chain

from django.conf import settings

from domain import profile
from domain.fence import SINCE
from domain.model.person import Person, Tombstone
from domain.projection.client import get_primary
from domain.projection.redis_command import Argument

# Results of the script.
UP_TO_DATE, WRITTEN, MARKED, CONFLICT = range(4)
# Whether to write a hash where there is none. Redis may have lost a newer one, in which a session
# was revoked. So NEVER stores only the version, which readers take for a cache miss, and IF_MARKED
# needs such a version. Except for a new person, of a sign-up since which Redis has lost nothing.
NEVER, IF_MARKED, ALWAYS = "never", "if_marked", "always"
_FIRST_FIELD, _ETAG, _FIRST_SESSION = 7, 10, 13  # in ARGV; see `domain.profile.to_hash`
_CLOCK_SKEW = 60  # seconds; sessions expire in Postgres by its own clock
_MIN_TOMBSTONE_LIFETIME = 86_400  # seconds
_REVOCATION_LIFETIME = 86_400  # seconds that Postgres may take to lose a commit

# ARGV: 1 the new version; 2 NEVER, IF_MARKED or ALWAYS, or "=" and the stored version (raw), if it
# is to be replaced whatever it is; 3 the time of the person's sign-up, or ""; 4 the key of the
# fence; 5 Unix time; 6 when a tombstone expires, or ""; then the fields and values.
# Without a "#!lua" line, Redis rejects a script for lack of memory only if its first write needs
# some: after a DEL, all of it is executed. So revocations reach a full Redis.
WRITE = f"""
local raw_version, etag = unpack(redis.call('HMGET', KEYS[1], 'v', 'e'))
local version, new_version, now = tonumber(raw_version) or 0, tonumber(ARGV[1]), tonumber(ARGV[5])
local is_tombstone = ARGV[6] ~= ''
if etag == '' and not is_tombstone then return {CONFLICT} end
if string.sub(ARGV[2], 1, 1) == '=' then
  if (raw_version or '') ~= string.sub(ARGV[2], 2) then return {UP_TO_DATE} end
elseif version > new_version then
  return {CONFLICT}
elseif not (etag or ARGV[2] == '{ALWAYS}' or (ARGV[2] == '{IF_MARKED}' and version > 0)
    or (ARGV[3] ~= '' and (redis.call('HGET', ARGV[4], '{SINCE}') or ARGV[3]) < ARGV[3])) then
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
  return {MARKED}
end
if raw_version or etag then
  -- Mostly the same sessions are stored, and at the same version all is equal.
  local equal = 0
  for i = {_FIRST_SESSION}, #ARGV, 2 do
    if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then equal = equal + 1 end
  end
  local has_others = redis.call('HLEN', KEYS[1]) ~= equal + (etag and 3 or 1)
  local is_compared = etag and version == new_version and string.sub(ARGV[2], 1, 1) ~= '='
  if is_compared and not has_others and etag == ARGV[{_ETAG}]
      and equal == (#ARGV - {_FIRST_SESSION} + 1) / 2 then
    return {UP_TO_DATE}
  end
  if is_compared and etag ~= ARGV[{_ETAG}] then return {CONFLICT} end
  local positions, stored = {{}}, has_others and redis.call('HGETALL', KEYS[1]) or {{}}
  for i = {_FIRST_SESSION}, has_others and #ARGV or 0, 2 do positions[ARGV[i]] = i + 1 end
  for i = 1, is_tombstone and 0 or #stored, 2 do
    if #stored[i] == {profile.DIGEST_BYTES} then
      local expiry, position = tonumber(stored[i + 1]) or 0, positions[stored[i]]
      if is_compared then
        if ARGV[position] ~= stored[i + 1] and expiry > now + {_CLOCK_SKEW} then
          return {CONFLICT}
        elseif position and ARGV[position] ~= stored[i + 1] then
          equal = equal + 1
        end
      elseif position and expiry < 0 then
        ARGV[position] = '-' .. ARGV[position]
      elseif not position then
        if expiry > 0 then expiry = -math.min(expiry, now + {_REVOCATION_LIFETIME}) end
        if -expiry > now then
          ARGV[#ARGV + 1] = stored[i]
          ARGV[#ARGV + 1] = string.format('%d', expiry)
        end
      end
    end
  end
  if is_compared then
    return equal == (#ARGV - {_FIRST_SESSION} + 1) / 2 and {UP_TO_DATE} or {CONFLICT}
  end
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], unpack(ARGV, {_FIRST_FIELD}))
if is_tombstone then redis.call('EXPIREAT', KEYS[1], ARGV[6]) end
return {WRITTEN}
"""


def encode_call(
    person: Person | Tombstone, create: str, signed_up_at: datetime | None = None
) -> list[Argument]:
    """Returns the key and the arguments of the script for this state.

    Raises `RedisError` if the primary of a sign-up is unknown.
    """
    key = profile.redis_key(person.id)
    fields = chain.from_iterable(profile.to_hash(person).items())
    now = int(time.time())
    return [
        key,
        person.version,
        create,
        signed_up_at.isoformat() if signed_up_at else "",
        get_primary(key).fence_key if signed_up_at else "",
        now,
        _expiry(person, now) if isinstance(person, Tombstone) else "",
        *fields,
    ]


def is_expired(tombstone: Tombstone, now: float) -> bool:
    """Returns whether all sessions of an erased person have expired: Redis need not know of it."""
    return tombstone.deleted_at.timestamp() + settings.SESSION_LIFETIME.total_seconds() < now


def _expiry(tombstone: Tombstone, now: int) -> int:
    """Returns the Unix time until which a session may be live, or a day from now: a read of an
    erased person who is not in Redis reaches Postgres at most once a day.
    """
    deleted_at = int(tombstone.deleted_at.timestamp())
    lifetime = int(settings.SESSION_LIFETIME.total_seconds())
    return max(deleted_at + lifetime, now + _MIN_TOMBSTONE_LIFETIME)
