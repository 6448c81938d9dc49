"""The profile Redis is vouched for, again and again, and what it has lost is brought back.

Each change of a profile has an outbox row, which is closed after Redis has it. So what Redis was
told after some moment, and may have lost, is of people with a row that is open or was closed later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q

from domain.stores import profiles
from domain.stores.models import Outbox
from domain.stores.rebuild import rebuild
from domain.vouched import AT, KEY, RUN

log = structlog.get_logger(__name__)

# In one step, so that what is written into a server was found in that server. Nothing is believed
# of one that has another run id than it was vouched for, unless that is what is said now.
_VOUCH = f"""#!lua flags=allow-oom
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local known = redis.call('HGET', KEYS[1], '{RUN}')
if known and known ~= run and ARGV[2] ~= run then
  return {{run, redis.call('HGET', KEYS[1], '{AT}')}}
end
redis.call('HSET', KEYS[1], '{RUN}', run, '{AT}', ARGV[1])
return {{}}
"""
_MARGIN = timedelta(minutes=1)  # Postgres may have a successor too, with a clock of its own
_BATCH = 200  # people
_MOST = 100_000  # of more than that a list is no better than everybody
_EVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Behind:
    """A profile Redis with older data: its run id, and until when they are complete."""

    run: str
    since: datetime


def steps() -> Iterator[bool]:
    """Vouch for the profile Redis, for ever; yields whether it may be believed, after each step.

    When it may not, a step brings some people to their current state. Raises `Unavailable`, and
    Django's `OperationalError` and `InterfaceError`; then it begins anew.
    """
    while True:
        moment = _now()
        behind = _vouch(moment)
        if behind is None:
            yield True
            continue
        for _ in _catch_up(behind, moment):
            yield False
        if _vouch(moment, behind.run) is None:
            log.info("profile_redis_caught_up")


def _vouch(moment: datetime, run: str = "") -> Behind | None:
    """Say that the profile Redis has all that it was told by `moment`, or hear that it has not.

    `run` is the run id of a server that has caught up.
    """
    with profiles.redis_errors():
        reply: list[bytes | None] = profiles.script(_VOUCH)([KEY], [moment.isoformat(), run])
    if not reply:
        return None
    found, at = reply
    return Behind((found or b"").decode(), datetime.fromisoformat(at.decode()) if at else _EVER)


def _catch_up(behind: Behind, moment: datetime) -> Iterator[object]:
    """Bring everybody to their current state whose change may be lost; yields now and then."""
    since = behind.since - _MARGIN
    people = _changed(since) if since > moment - settings.OUTBOX_KEPT else None
    log.warning("profile_redis_is_behind", since=str(behind.since), people=people and len(people))
    if people is None:
        with profiles.redis_errors():
            yield from rebuild()
    else:
        for some in batched(people, _BATCH):
            profiles.refresh_all(some)
            yield some


def _changed(since: datetime) -> list[UUID] | None:
    """Whose change may have come to Redis after `since`; None if they are too many to list."""
    rows = Outbox.objects.filter(
        Q(finished_at=None) | Q(finished_at__gte=since), kind=Outbox.Kind.PROFILE
    )
    people = list(rows.values_list("person_id", flat=True).distinct()[: _MOST + 1])
    return people if len(people) <= _MOST else None


def _now() -> datetime:
    """The time by Postgres' clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
        return moment
