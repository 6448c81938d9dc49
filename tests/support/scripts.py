"""What hostile clients do, as data: scripts that hypothesis makes and shrinks, and tests keep."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Self

from hypothesis import strategies as st

from tests.support.hostile_client import HostileClient
from tests.support.messages import BODIES, LAST, MESSAGES, RIGHT, UPGRADE, WRONG
from tests.support.read_server import DEADLINES, ReadServer

_MAX_REQUESTS = 300  # in one action, or what costs as much
_MAX_BYTES, _MAX_BYTES_BYTEWISE = 100_000, 2_000
_OLD = 0.5 * float(DEADLINES["KEEP_ALIVE_TIMEOUT"])  # seconds; then a deadline may have passed
_LONGEST = 8.0  # seconds; in which all of the server's deadlines have passed one after the other
ALL = tuple(range(10))  # every client


class Clients:
    """The clients of one script. One that has closed its connection opens another."""

    def __init__(self, server: ReadServer) -> None:
        self.server = server
        self.ports: set[int] = set()  # of all that there were
        self._now: dict[int, HostileClient] = {}

    def __getitem__(self, number: int) -> HostileClient:
        client = self._now.get(number)
        if client is None or client.is_closed:
            person = self.server.people[number]
            name = f"client-{len(self.ports):03}"
            client = HostileClient(self.server.port, person, name, self.server.timeout)
            self.ports.add(client.port)
            self._now[number] = client
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.open():
            client.close()

    def play(self, script: "Script") -> None:
        """Do what the script says, and see that a bystander does not notice."""
        for moment in script:
            moment.take(self)
            self.server.serves_bystander()

    def open(self) -> list[HostileClient]:
        """Those that have not closed their connections."""
        return [client for client in self._now.values() if not client.is_closed]

    def drip(self) -> None:
        """Each sends a byte of what it has kept back."""
        for client in self.open():
            client.drip()


@dataclass(frozen=True)
class Send:
    """Each of these clients sends these messages, so many times over, in one segment.

    The last `but` bytes are kept back: they go out in one segment with what it sends next.
    """

    messages: tuple[str, ...]
    clients: tuple[int, ...] = (0,)
    times: int = 1
    but: int = 0
    bytewise: bool = False

    def take(self, clients: Clients) -> None:
        messages = [MESSAGES[name] for name in self.messages] * self.times
        for number in self.clients:
            clients[number].send(messages, self.but, bytewise=self.bytewise)


@dataclass(frozen=True)
class Open:
    """Each connects, if it has not, and says nothing."""

    clients: tuple[int, ...] = (0,)

    def take(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].receive()


@dataclass(frozen=True)
class HalfClose:
    """Each says that it will send nothing more."""

    clients: tuple[int, ...] = (0,)

    def take(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].half_close()


@dataclass(frozen=True)
class StopReading:
    """Each takes nothing of what it is sent."""

    clients: tuple[int, ...] = (0,)

    def take(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].stop_reading()


@dataclass(frozen=True)
class Close:
    """Each hangs up, in order or by a reset."""

    clients: tuple[int, ...] = (0,)
    reset: bool = False

    def take(self, clients: Clients) -> None:
        for number in self.clients:
            clients[number].close(reset=self.reset)


type Action = Send | Open | HalfClose | StopReading | Close


@dataclass(frozen=True)
class Moment:
    """Actions one right after the other; in a `stall`, Redis replies only after all of them."""

    actions: tuple[Action, ...]
    stall: bool = False

    def take(self, clients: Clients) -> None:
        with clients.server.redis_stalled() if self.stall else nullcontext():
            for action in self.actions:
                action.take(clients)


type Script = Sequence[Moment]


def play(server: ReadServer, script: Script) -> None:
    """Do what the script says. A bystander must read its profile at every moment, all who asked
    must have their responses, the process must hold no connection and log no failure in the end.
    """
    with _repaired(server), Clients(server) as clients:
        clients.play(script)
        for client in clients.open():
            client.settle(_OLD)
    with _repaired(server):
        assert not server.remaining(within=server.timeout), "connections of clients that are gone"
        assert server.new_failures() == []


def abandon(server: ReadServer, *scripts: Script) -> None:
    """Do what the scripts say; then the clients stay as they are, and slowly send on what they have
    kept back. The server has to end all of their connections.
    """
    with _repaired(server), ExitStack() as stack:
        played = [(stack.enter_context(Clients(server)), script) for script in scripts]
        for clients, script in played:
            clients.play(script)
        ports = server.remaining(_LONGEST, lambda: drip_all(clients for clients, _ in played))
        left = [script for clients, script in played if clients.ports & ports]
        assert not left, f"connections that the server does not end: {left}"
        assert server.new_failures() == []


def drip_all(all_clients: Iterable[Clients]) -> None:
    for clients in all_clients:
        clients.drip()


@contextmanager
def _repaired(server: ReadServer) -> Iterator[None]:
    """After a failure the process may be broken for good; the next script gets a new one."""
    try:
        yield
    except BaseException:
        server.restart()
        raise


def _actions() -> st.SearchStrategy[Action]:
    clients = st.sampled_from([(0,), (1,), (2,), (0, 1), ALL])
    groups = [RIGHT, BODIES, RIGHT, BODIES, WRONG, LAST, UPGRADE]
    names = st.sampled_from(groups).flatmap(lambda group: st.sampled_from(list(group)))
    send = st.builds(
        Send,
        messages=st.lists(names, min_size=1, max_size=4).map(tuple),
        clients=clients,
        times=st.sampled_from([1, 1, 1, 2, 5, 50, 200]),
        but=st.one_of(st.just(0), st.just(0), st.integers(1, 500)),
        bytewise=st.sampled_from([False] * 7 + [True]),
    ).map(_affordable)
    others = [st.builds(kind, clients=clients) for kind in (Open, HalfClose, StopReading)]
    close = st.builds(Close, clients=clients, reset=st.booleans())
    return st.one_of(send, send, send, send, *others, close)


def _affordable(send: Send) -> Send:
    """The same, less often: no step of a script is to take long."""
    messages = [MESSAGES[name] for name in send.messages]
    cost = sum(message.cost for message in messages) * len(send.clients)
    length = sum(len(message.text) for message in messages) * len(send.clients)
    most = min(_MAX_REQUESTS // cost, _MAX_BYTES // length)
    bytewise = send.bytewise and length <= _MAX_BYTES_BYTEWISE
    times = 1 if bytewise else max(1, min(send.times, most))
    return replace(send, times=times, bytewise=bytewise)


def scripts() -> st.SearchStrategy[list[Moment]]:
    moment = st.builds(
        Moment,
        actions=st.lists(_actions(), min_size=1, max_size=3).map(tuple),
        stall=st.sampled_from([False, False, True]),
    )
    return st.lists(moment, min_size=1, max_size=5)
