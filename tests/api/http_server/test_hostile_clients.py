"""Fuzzing: hostile clients do not affect the reads of others, and leave no connection behind."""

from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.conftest import LONG
from tests.support.hostile_messages import (
    BODIES,
    LAST,
    MESSAGES,
    REPEATED,
    WELL_FRAMED,
    WRONG,
)
from tests.support.hostile_scripts import (
    ALL,
    Action,
    Close,
    HalfClose,
    Moment,
    Open,
    Send,
    StopReading,
    abandon,
    leave,
    play,
)
from tests.support.read_server import ReadServer

MAX_COST, MAX_BYTES, MAX_BYTEWISE = 300, 100_000, 2_000  # of one action
FUZZ_SETTINGS = settings(
    max_examples=20_000 if LONG else 60,
    derandomize=not LONG,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def limit_cost(send: Send) -> Send:
    """Returns the action with fewer repetitions: no action may take long."""
    messages = [MESSAGES[name] for name in send.messages]
    cost = sum(message.cost for message in messages) * len(send.clients)
    size = sum(len(message.text) for message in messages) * len(send.clients)
    times = max(1, min(send.times, MAX_COST // cost, MAX_BYTES // size))
    bytewise = send.bytewise and size <= MAX_BYTEWISE
    return replace(send, times=1 if bytewise else times, bytewise=bytewise)


def actions() -> st.SearchStrategy[Action]:
    clients = st.sampled_from([(0,), (1,), (2,), (0, 1), ALL])
    groups = st.sampled_from([WELL_FRAMED, BODIES, WELL_FRAMED, BODIES, REPEATED, WRONG, LAST])
    names = groups.flatmap(lambda group: st.sampled_from(list(group)))
    send = st.builds(
        Send,
        messages=st.lists(names, min_size=1, max_size=4).map(tuple),
        clients=clients,
        times=st.sampled_from([1, 1, 2, 5, 50, 200]),
        hold_back=st.one_of(st.just(0), st.just(0), st.integers(1, 500)),
        bytewise=st.sampled_from([False] * 7 + [True]),
    ).map(limit_cost)
    kinds: list[st.SearchStrategy[Action]] = [send] * 8
    kinds += [st.builds(kind, clients=clients) for kind in (Open, HalfClose, StopReading)]
    kinds += [st.builds(Close, clients=clients, reset=st.booleans())]
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


moments = st.builds(
    Moment,
    actions=st.lists(actions(), min_size=1, max_size=4).map(tuple),
    stall=st.sampled_from([False, False, True]),
)
scripts = st.lists(moments, min_size=1, max_size=5)


@FUZZ_SETTINGS
@given(script=scripts)
def test_hostile_clients_do_not_affect_reads(server: ReadServer, script: list[Moment]):
    note(f"{script!r}")
    play(server, script)


@settings(FUZZ_SETTINGS, max_examples=2_000 if LONG else 10)
@given(script=scripts)
def test_hostile_clients_do_not_affect_reads_without_upstream(
    lone_server: ReadServer, script: list[Moment]
):
    note(f"{script!r}")
    play(lone_server, script)


@settings(FUZZ_SETTINGS, max_examples=2_000 if LONG else 20)
@given(script=scripts)
def test_hostile_clients_do_not_use_up_admission_to_the_write_process(
    narrow_server: ReadServer, script: list[Moment]
):
    note(f"{script!r}")
    leave(narrow_server, script)


# Only one script can fail: there is nothing to shrink.
@settings(FUZZ_SETTINGS, max_examples=100 if LONG else 1, phases=[Phase.generate])
@given(each=st.lists(scripts, min_size=20, max_size=20))
def test_server_closes_every_abandoned_connection(server: ReadServer, each: list[list[Moment]]):
    abandon(server, *each)
