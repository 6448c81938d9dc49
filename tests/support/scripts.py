"""What hostile clients do, as data: scripts that hypothesis makes and shrinks, and tests keep."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.hostile_client import HostileClient
from tests.support.messages import BODIES, LAST, MESSAGES, RIGHT, UPGRADE, WRONG
from tests.support.read_server import DEADLINES, ReadServer

_LONGEST = 300_000  # bytes of one segment
_LONGEST_BYTEWISE = 2_000
_OLD = 0.5 * float(DEADLINES["KEEP_ALIVE_TIMEOUT"])  # seconds; then a deadline may have passed
ALL = tuple(range(10))  # every client


class Clients:
    """The clients of one script. One that has closed its connection opens another."""

    def __init__(self, server: ReadServer) -> None:
        self._server = server
        self._open: dict[int, HostileClient] = {}
        self._count = 0

    def __getitem__(self, number: int) -> HostileClient:
        client = self._open.get(number)
        if client is None or client.is_closed:
            person = self._server.people[number % len(self._server.people)]
            self._count += 1
            client = HostileClient(self._server.port, person, f"client-{self._count:03}")
            self._open[number] = client
        return client

    def opened(self) -> list[HostileClient]:
        return [client for client in self._open.values() if not client.is_closed]


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
        messages = [MESSAGES[name] for name in self.messages]
        length = sum(len(message.text) for message in messages)
        longest = _LONGEST_BYTEWISE if self.bytewise else _LONGEST
        messages *= max(1, min(self.times, longest // length))
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

    def take(self, clients: Clients, server: ReadServer) -> None:
        with server.redis_stalled() if self.stall else nullcontext():
            for action in self.actions:
                action.take(clients)


type Script = Sequence[Moment]


def play(server: ReadServer, *scripts: Script, leave: bool = False) -> None:
    """Do what these say; a bystander must read its profile at every moment, all who asked must have
    their responses, the process must hold no connection and log no failure in the end.

    With `leave` the clients then just stay as they are: the server has to end their connections.
    """
    everyone: list[HostileClient] = []
    try:
        for script in scripts:
            clients = Clients(server)
            for moment in script:
                moment.take(clients, server)
                everyone += [each for each in clients.opened() if each not in everyone]
                server.serves_bystander()
            if not leave:
                for client in clients.opened():
                    client.settle(_OLD)
        if leave:
            server.holds_no_connection(within=5 * float(DEADLINES["LINGER_TIMEOUT"]))
        for client in everyone:
            client.close()
        server.holds_no_connection(within=10)
        assert server.new_failures() == []
    except BaseException:
        for client in everyone:
            client.close(reset=True)
        server.restart()  # it may be broken for good, and the next script needs one that is not
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
    )
    others = [st.builds(kind, clients=clients) for kind in (Open, HalfClose, StopReading)]
    close = st.builds(Close, clients=clients, reset=st.booleans())
    return st.one_of(send, send, send, send, *others, close)


def scripts() -> st.SearchStrategy[list[Moment]]:
    moment = st.builds(
        Moment,
        actions=st.lists(_actions(), min_size=1, max_size=3).map(tuple),
        stall=st.sampled_from([False, False, True]),
    )
    return st.lists(moment, min_size=1, max_size=5)
