"""Hostile clients: whatever they do, others read as ever, and nothing is left of them."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from local.stack import Stack
from tests.conftest import LONG
from tests.support.messages import MESSAGES
from tests.support.read_server import DEADLINES, ReadServer
from tests.support.scripts import Moment, Send, abandon, play, scripts

FUZZ = settings(
    max_examples=20_000 if LONG else 180,
    derandomize=not LONG,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ReadServer]:
    with ReadServer(stack, **DEADLINES) as running:
        yield running


@FUZZ
@given(script=scripts())
def test_reads_go_on_whatever_hostile_clients_do(server: ReadServer, script: list[Moment]):
    note(f"{script!r}")
    play(server, script)


@settings(FUZZ, max_examples=3, phases=[Phase.generate])  # it names the script
@given(each=st.lists(scripts(), min_size=20, max_size=20))
def test_the_server_ends_the_connections_of_clients_that_do_not(
    server: ReadServer, each: list[list[Moment]]
):
    abandon(server, *each)


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_is_answered_rightly_and_so_is_what_follows(server: ReadServer, name: str):
    play(server, [Moment((Send((name, "read")), Send(("read", name), clients=(1,))))])


@pytest.mark.parametrize("name", [name for name in MESSAGES if len(MESSAGES[name].text) < 1000])
def test_each_message_is_answered_rightly_byte_by_byte(server: ReadServer, name: str):
    play(server, [Moment((Send((name,), bytewise=True),))])
