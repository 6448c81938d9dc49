"""The service under load: one of our own with its parts, or one that runs somewhere."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import psycopg
from redis import Redis

from loadtests.http_client import Origin
from loadtests.people import Person, read_people
from loadtests.resource_usage import memory_mb, process_tree
from loadtests.seeding import insert, sign_up
from local.processes import Process, StackError
from local.stack import Stack

ROLLCALL = ("read", "write", "worker", "relay")
_PEOPLE_BY_HTTP = 300  # who sign up through HTTP
_ROOT = Path(__file__).resolve().parents[1]
_REBUILD_TIMEOUT = 300.0  # seconds
_DELIVERY_TIMEOUT = 60.0  # seconds
_OPEN_ENTRIES = b"""
    SELECT count(*) FROM rollcall_outboxentry WHERE state IN ('pending', 'queued', 'running')
"""


class Usage(NamedTuple):
    """What a part has used: CPU in seconds, memory in MB (Pss)."""

    cpu: float
    memory: float


class Service:
    """A service that runs somewhere: `url`, and `redis_url` of its profile Redis if it is known."""

    def __init__(self, url: str, redis_url: str | None, people_file: Path | None) -> None:
        Origin.parse(url)
        self.url = url.rstrip("/")
        self.redis_url = redis_url
        self._people_file = people_file

    def check(self, *, writes: bool, real_messages: bool) -> None:
        """Raises `StackError` if it cannot be reached, or if sign-ups, those of the people to read
        included, would send real messages.
        """
        try:
            ready = httpx.get(f"{self.url}/readyz", timeout=10)
            mailbox = httpx.get(f"{self.url}/dev/mailbox.json", params={"to": "-"}, timeout=10)
        except httpx.HTTPError as error:
            raise StackError(f"HOST: {self.url} cannot be used: {error!r}") from error
        if not ready.is_success:
            raise StackError(f"HOST: {self.url} is not ready: {ready.status_code} {ready.text}")
        signs_up = writes or self._people_file is None
        if signs_up and not real_messages and mailbox.status_code != httpx.codes.OK:
            raise StackError(
                f"{self.url} has no development mailbox: sign-ups might send real messages to"
                " people. WRITES=0 with PEOPLE=… only reads; if its providers are stand-ins,"
                " ARGS=--real-messages"
            )

    def people(self, count: int, folder: Path) -> list[Person]:
        """Returns the people to read: of the file, or newly signed up."""
        if self._people_file:
            return read_people(self._people_file)
        return sign_up(self.url, min(count, _PEOPLE_BY_HTTP))

    def flush(self) -> None:
        """Empties the profile Redis. Raises `RedisError`."""
        if not self.redis_url:
            raise StackError(
                "cold empties the profile Redis: with HOST=, its URL must be given with REDIS=…"
            )
        with Redis.from_url(self.redis_url, socket_timeout=10) as redis:
            redis.flushall()

    def usage(self) -> Mapping[str, Usage]:
        """Returns what each part has used until now; empty if it runs elsewhere."""
        return {}

    def undelivered(self) -> int | None:
        """Waits until all outbox entries are finished; returns how many are not by the deadline."""
        return None


class OwnService(Service):
    """A service that was started for the load."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.url, stack.environment()["REDIS_URL"], None)
        self._stack = stack

    def people(self, count: int, folder: Path) -> list[Person]:
        """Inserts people in Postgres, and writes their profiles to Redis."""
        env = self._stack.environment()
        people = insert(env["DATABASE_URL"], env["SECRET_KEY"], count)
        argv = [sys.executable, str(_ROOT / "manage.py"), "profiles", "rebuild"]
        Process("rebuild", argv, folder / "rebuild.log", env=env).run(_REBUILD_TIMEOUT)
        return people

    def usage(self) -> Mapping[str, Usage]:
        """Returns what each process and its children have used, those that have exited included."""
        return {name: usage_of(process.pid) for name, process in self._stack.services.items()}

    def undelivered(self) -> int | None:
        """Waits until all outbox entries are finished; returns how many are not by the deadline."""
        deadline = time.monotonic() + _DELIVERY_TIMEOUT
        url = self._stack.environment()["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                row = connection.execute(_OPEN_ENTRIES).fetchone()
                count = int(row[0]) if row else 0
                if not count or time.monotonic() > deadline:
                    return count
                time.sleep(0.2)  # rows of a table: there is no event to await


def usage_of(pid: int) -> Usage:
    """Returns what a process and its descendants have used."""
    cpu = memory = 0.0
    for each in process_tree(pid):
        with suppress(psutil.NoSuchProcess, OSError):  # it has exited since
            cpu += sum(psutil.Process(each).cpu_times()[:4])  # its exited children included
            memory += memory_mb([each])
    return Usage(cpu, memory)
