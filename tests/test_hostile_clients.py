"""Hostile clients: whatever they do, others read as ever, and nothing is left of them."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from local.stack import Stack
from tests.conftest import LONG
from tests.support.read_server import DEADLINES, ReadServer
from tests.support.scripts import Moment, play, scripts

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
