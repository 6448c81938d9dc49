"""Writes all profiles of a primary that has lost them, as the relay does beside other work."""

import time
from threading import Event
from uuid import UUID, uuid4

import structlog
from django.db import connections

from domain.fence import REBUILD_AFTER
from domain.model.errors import ServiceUnavailable
from domain.postgres.errors import translate_database_errors
from domain.projection.client import Primary, translate_redis_errors
from domain.projection.rebuild import rebuild
from domain.projection.redis_command import run_script

log = structlog.get_logger(__name__)

# KEYS: the fence, and a lock that expires. ARGV: the caller's name; the id after which its rebuild
# goes on, as it is stored; the new one, or "" at its end; when the lock expires.
_ADVANCE_CURSOR = f"""#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], '{REBUILD_AFTER}') ~= ARGV[2] then return 0 end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[4])
    and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], '{REBUILD_AFTER}')
else
  redis.call('HSET', KEYS[1], '{REBUILD_AFTER}', ARGV[3])
end
return 1
"""
_LOCK_MS = 10_000
_PAGE_SIZE = 250  # people; takes 20 ms, and up to four are in work after a pause has begun
_MAX_PAUSE = 1.0  # seconds
_RETRY_DELAY = 5.0  # seconds


def rebuild_primary(primary: Primary, after: UUID, may_run: Event, stop_event: Event) -> None:
    """Writes the profiles of the ids above `after`, until `stop_event` is set; pauses while
    `may_run` is not.

    Its position is stored in the fence: another relay, or the same one after an error (which is
    logged, and waited for), goes on from there. Only one at a time does it. What Redis loses during
    it starts it again.
    """
    name, started_at, count = str(uuid4()), time.monotonic(), 0
    try:
        with translate_redis_errors(), translate_database_errors():
            if not _advance_cursor(primary, name, after, after):
                return
            for page in rebuild(after, primary=primary, page_size=_PAGE_SIZE):
                may_run.wait(_MAX_PAUSE)
                if stop_event.is_set() or not _advance_cursor(primary, name, after, page.last_id):
                    return
                after, count = page.last_id, count + page.written_count
            if _advance_cursor(primary, name, after, None):
                seconds = round(time.monotonic() - started_at, 1)
                log.info("profiles_rebuilt", profiles=count, seconds=seconds)
    except ServiceUnavailable:  # logged
        stop_event.wait(_RETRY_DELAY)
    finally:
        connections.close_all()  # this thread's


def _advance_cursor(primary: Primary, name: str, stored: UUID, new: UUID | None) -> bool:
    """Stores the position of this rebuild; returns whether it may go on."""
    keys = primary.fence_key, f"{primary.fence_key}:rebuild"
    call = (*keys, name, str(stored), str(new or ""), _LOCK_MS)
    return bool(run_script(primary.pool, _ADVANCE_CURSOR, [call], num_keys=2)[0])
