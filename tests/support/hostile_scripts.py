"""Scripts of hostile clients as data: hypothesis generates and shrinks them."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Self

import h11
import httpx

from tests.support.client import wait_until
from tests.support.hostile_client import HostileClient
from tests.support.hostile_messages import MESSAGES
from tests.support.read_server import ReadServer

# Seconds; how long a connection may stay in each of its states. Short, because tests wait for it.
DEADLINES = {
    "KEEP_ALIVE_TIMEOUT": "1",
    "HEADERS_TIMEOUT": "1",
    "BODY_TIMEOUT": "1",
    "SEND_TIMEOUT": "1",
    "LINGER_TIMEOUT": "1",
}
# Few enough that places which are not given back are missed. None of the ten clients of a script
# has to wait for a place: one that half-closes its connection then would get no response.
LIMITS = {"WRITE_MAX_CONCURRENCY": "12", "WRITE_MAX_WAITING": "4"}
_OLD = 0.5  # seconds; on an older connection one of these deadlines may have passed
_ALL_DEADLINES = 8.0  # seconds; then they all have passed, one after the other
_MAX_ATTEMPTS = 3
_STALL_MARGIN = 2.0  # seconds for which a stall of the machine may have consequences
_SHRINKING_TIMEOUT = 2.0  # seconds for what must happen, once a failure is known
ALL = tuple(range(10))  # every client


class Clients:
    """The clients of one script by number. A client whose connection is closed opens another."""

    def __init__(self, server: ReadServer) -> None:
        self.server = server
        self.ports: set[int] = set()  # of all connections
        self._clients: dict[int, HostileClient] = {}

    def __getitem__(self, number: int) -> HostileClient:
        client = self._clients.get(number)
        if client is None or client.closed:
            person = self.server.people[number]
            name = f"client-{len(self.ports):03}"
            client = HostileClient(self.server.port, person, name, self.server.timeout)
            self.ports.add(client.port)
            self._clients[number] = client
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.open():
            client.close()

    def play(self, script: "Script") -> None:
        """Plays the script. Raises `AssertionError` if a bystander is affected."""
        for moment in script:
            moment.run(self)
            self.server.serves_bystander()

    def open(self) -> list[HostileClient]:
        """Returns the clients with an open connection."""
        return [client for client in self._clients.values() if not client.closed]

    def drip(self) -> None:
        """Has each send one byte of what it has held back."""
        for client in self.open():
            client.drip()


@dataclass(frozen=True)
class Send:
    """Each client sends the messages, `times` over, in one segment or byte by byte.

    It holds the last `hold_back` bytes back, and sends them in one segment with its next data.
    """

    messages: tuple[str, ...]
    clients: tuple[int, ...] = (0,)
    times: int = 1
    hold_back: int = 0
    bytewise: bool = False

    def run(self, clients: Clients) -> None:
        messages = [MESSAGES[name] for name in self.messages] * self.times
        for number in self.clients:
            clients[number].send(messages, self.hold_back, bytewise=self.bytewise)


@dataclass(frozen=True)
class Open:
    """Each client connects, if it has not, and sends nothing."""

    clients: tuple[int, ...] = (0,)

    def run(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].receive_all()


@dataclass(frozen=True)
class HalfClose:
    """Each client shuts its sending side down."""

    clients: tuple[int, ...] = (0,)

    def run(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].half_close()


@dataclass(frozen=True)
class StopReading:
    """Each client stops receiving."""

    clients: tuple[int, ...] = (0,)

    def run(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].reading = False


@dataclass(frozen=True)
class Close:
    """Each client closes its connection, gracefully or with a reset."""

    clients: tuple[int, ...] = (0,)
    reset: bool = False

    def run(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].close(reset=self.reset)


type Action = Send | Open | HalfClose | StopReading | Close


@dataclass(frozen=True)
class Moment:
    """Consecutive actions; during a `stall`, Redis replies only after all of them."""

    actions: tuple[Action, ...]
    stall: bool = False

    def run(self, clients: Clients) -> None:
        with clients.server.redis_stalled() if self.stall else nullcontext():
            for action in self.actions:
                action.run(clients)


type Script = Sequence[Moment]


def play(server: ReadServer, script: Script) -> None:
    """Plays the script, and closes all connections.

    Raises `AssertionError` if a bystander's read fails, a client has no response or a wrong one,
    the process holds a connection at the end or accepts no writes, or its log reports a failure.
    """
    _attempt(server, lambda: _play(server, script))


def abandon(server: ReadServer, *scripts: Script) -> None:
    """Plays the scripts. Then the clients only send slowly what they hold back: the server has to
    close all the connections. Raises `AssertionError` as `play` does.
    """
    _attempt(server, lambda: _abandon(server, *scripts))


def leave(server: ReadServer, script: Script) -> None:
    """Does what the script says, and closes all connections, whatever their responses.

    Raises AssertionError as `play` does, and if any of the requests is counted as in flight or as
    waiting for ever: the process, which admits only a few, then accepts no writes any more.
    """
    _attempt(server, lambda: _leave(server, script))


def _play(server: ReadServer, script: Script) -> None:
    with Clients(server) as clients:
        clients.play(script)
        for client in clients.open():
            client.settle(_OLD)
    assert not server.remaining(timeout=server.timeout), "it holds closed connections"
    _check_health(server)


def _leave(server: ReadServer, script: Script) -> None:
    with Clients(server) as clients:
        clients.play(script)
    # The write process may be at work on what it has received.
    wait_until(lambda: server.proxied_status() == 404, timeout=server.timeout)
    _check_health(server)


def _abandon(server: ReadServer, *scripts: Script) -> None:
    with ExitStack() as stack:
        played = [(stack.enter_context(Clients(server)), script) for script in scripts]
        for clients, script in played:
            clients.play(script)

        def drip() -> None:
            for clients, _ in played:
                clients.drip()

        ports = server.remaining(_ALL_DEADLINES, drip)
        held = [script for clients, script in played if clients.ports & ports]
        assert not held, f"connections that the server does not end: {held}"
    _check_health(server)


def _check_health(server: ReadServer) -> None:
    if server.has_write_process:
        server.accepts_writes()
    failures = server.new_failures()
    assert not failures, f"its log says {failures[0]}"


def _attempt(server: ReadServer, action: Callable[[], None]) -> None:
    """Retries an action that failed while the machine stalled.

    A failure may have broken the process permanently: it is replaced.
    """
    for attempt in range(_MAX_ATTEMPTS):
        started_at = time.monotonic()
        try:
            action()
        except (AssertionError, OSError, h11.RemoteProtocolError, httpx.TransportError):
            stalled = server.stalled_since(started_at - _STALL_MARGIN)
            server.replace()
            if attempt == _MAX_ATTEMPTS - 1 or not stalled:
                server.timeout = _SHRINKING_TIMEOUT
                raise
        else:
            return
