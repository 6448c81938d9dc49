"""The processes that can be broken: a service on the servers of a topology."""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg
from redis import Redis

from loadtests import ISOLATED_ENV
from loadtests.faults.clients import Clients
from loadtests.faults.ledger import Ledger
from loadtests.faults.providers import ProviderStandIn
from local.commands import Commands, rollcall_commands
from local.processes import Process, StackError
from local.servers import Valkey
from local.stack import Stack

_ROOT = Path(__file__).resolve().parents[2]
_VERIFY_TIMEOUT = 120.0  # seconds
_LEASE = "5"  # seconds; a killed worker's messages go out after it, 20 by default
_SELECT_PEOPLE = b"""
    SELECT id::text, name, surname, email, phone, hobbies, email_verified_at IS NOT NULL,
        phone_verified_at IS NOT NULL FROM rollcall_person
"""
_AOF = "appendonlydir"  # Valkey's data
_FIELDS = ("name", "surname", "email", "phone", "hobbies", "email_verified", "phone_verified")
_COUNT_OPEN = b"""
    SELECT count(*) FROM rollcall_outboxentry WHERE state IN ('pending', 'queued', 'running')
"""
type MakeStack = Callable[[Path, dict[str, str]], Stack]


def make_stack(data_dir: Path, env: dict[str, str], workers: int = 2) -> Stack:
    """Returns a service with two read and two write processes; nothing is synced to the disk."""

    # Faults are no load, and the clients wait for messages.
    os.environ.setdefault("WRITE_NICE", "5")

    def commands(port: int, write_bind: str) -> Commands:
        return rollcall_commands(port, write_bind, workers)

    return Stack(data_dir, env=env, durable=False, commands=commands)


class Plant:
    """A running service with its clients. Processes are started by the main thread, clients run in
    an event loop of another one. `servers` are those of the topology, `settings` their URLs.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        rates: tuple[float, float],
        servers: Any,
        settings: Mapping[str, str],
        new_stack: MakeStack,
    ) -> None:
        self.folder = folder
        self.servers = servers
        self.start_seconds = 0.0  # that the service took to start
        self.ledger = Ledger()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clients")
        self.providers = ProviderStandIn(folder, self.ledger.now)
        self._new_stack = new_stack
        self._seed, self._rates, self._settings = seed, rates, settings
        self._entered = ExitStack()
        self._clients: Clients | None = None
        self._snapshot = folder / "snapshot"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._thread.start()
            stack.callback(self._end_thread)
            self.await_in_loop(self.providers.start())
            self.stack = self._new_stack(self.folder / "data", self._environment())
            stack.enter_context(self.stack)
            stack.callback(self.stack.force_stop)
            self.start_seconds = self.ledger.now()
            self._clients = Clients(
                self.stack.url, self.ledger, self.providers, self._seed, *self._rates
            )
            self._running = asyncio.run_coroutine_threadsafe(self._clients.run(), self._loop)
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def _environment(self) -> dict[str, str]:
        return {
            **ISOLATED_ENV,
            "OUTBOX_LEASE_SECONDS": _LEASE,
            **self.providers.settings(),
            **self._settings,
        }

    def _end_thread(self) -> None:
        """Cancels what still runs in the clients' loop, closes connections and ends the thread."""
        self.await_in_loop(self._close_loop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close_loop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.providers.close()
        if self._clients:
            self._clients.close()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    def await_in_loop[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Returns the result of a coroutine that runs in the clients' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    @property
    def clients(self) -> Clients:
        """The clients, once the service is ready."""
        if self._clients is None:
            raise StackError("there are no clients before the service is ready")
        return self._clients

    def finish_clients(self, timeout: float) -> None:
        """Lets the clients complete what they do. Raises `TimeoutError`, or what has failed."""
        self.clients.stop()
        self._running.result(timeout)

    def raise_client_error(self) -> None:
        """Raises what has ended the clients."""
        if self._running.done():
            self._running.result()

    # --- parts ---------------------------------------------------------------------------------

    def part(self, name: str) -> Process:
        """Returns a process by its name: of the service, or of this topology."""
        own: Mapping[str, Process] = getattr(self.servers, "parts", {})
        return own.get(name) or self.stack.services[name]

    @property
    def profiles(self) -> Valkey:
        """The only profile Redis."""
        server = self.part("profiles")
        assert isinstance(server, Valkey)  # noqa: S101  # for mypy
        return server

    def redis(self) -> Redis:
        """Returns a client of the profile Redis; the caller closes it."""
        return Redis.from_url(self.profiles.url, socket_timeout=5)

    def take_snapshot(self) -> None:
        """Copies the append-only file of the profile Redis, if the topology has only one."""
        if self._snapshot.exists():
            shutil.rmtree(self._snapshot)
        if self.has_one_redis:
            shutil.copytree(self.profiles.folder / _AOF, self._snapshot)

    @property
    def has_one_redis(self) -> bool:
        """Whether the profile Redis is not replicated."""
        return "profiles" in {**self.stack.services, **getattr(self.servers, "parts", {})}

    def restore_snapshot(self) -> None:
        """Replaces the data of the profile Redis, which is not running, by the last snapshot."""
        self.remove_profiles()
        shutil.copytree(self._snapshot, self.profiles.folder / _AOF)

    def remove_profiles(self) -> None:
        """Removes the data of the profile Redis, which is not running."""
        shutil.rmtree(self.profiles.folder / _AOF)

    # --- the end -------------------------------------------------------------------------------

    def open_entries(self) -> int:
        """Returns how many outbox entries are unfinished."""
        row = self._query(_COUNT_OPEN)[0]
        return int(row[0])

    def people_in_postgres(self) -> list[tuple[str, dict[str, Any]]]:
        """Returns ids and profiles."""
        rows = self._query(_SELECT_PEOPLE)
        return [(row[0], dict(zip(_FIELDS, row[1:], strict=True))) for row in rows]

    def erased_in_postgres(self) -> set[str]:
        """Returns the ids of people who were erased."""
        return {row[0] for row in self._query(b"SELECT id::text FROM rollcall_tombstone")}

    def _query(self, sql: bytes) -> list[Any]:
        url = self.stack.environment()["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            return connection.execute(sql).fetchall()

    def verify_profiles(self) -> str:
        """Compares Redis with Postgres; returns what differs, empty if nothing does."""
        argv = [sys.executable, str(_ROOT / "manage.py"), "profiles", "verify"]
        log = self.folder / "data" / "logs" / "verify.log"
        verify = Process("verify", argv, log, env=self.stack.environment())
        with verify:
            if verify.wait(_VERIFY_TIMEOUT) and verify.status == 0:
                return ""
        return verify.log_tail()
