"""When events are sent, and when not, by a clock of the test's own."""

import pytest

from workers.events.circuit import THRESHOLD, Circuit

LIMIT = 16


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("workers.events.circuit.time", clock)
    return clock


def wait_for_probe(circuit: Circuit, clock: Clock) -> float:
    """Returns after how many seconds one event may be tried."""
    started_at = clock.now
    while not circuit.allowance(0, LIMIT):
        clock.now += 0.5
    assert circuit.allowance(0, LIMIT) == 1
    assert circuit.allowance(1, LIMIT) == 0, "not while that one is on its way"
    return clock.now - started_at


def test_failures_in_a_row_leave_one_event_at_a_time_after_growing_pauses(clock: Clock):
    circuit = Circuit()
    for number in range(THRESHOLD):
        assert circuit.allowance(4, LIMIT) == LIMIT - 4, number
        circuit.fail("timeout", None)
    pauses = []
    for _ in range(20):
        pauses.append(wait_for_probe(circuit, clock))
        circuit.fail("timeout", None)
    assert pauses[0] <= 1
    assert 30 <= pauses[-1] <= 60.5
    clock.now += 60
    circuit.succeed()
    assert circuit.allowance(0, LIMIT) == LIMIT


def test_failures_between_successes_stop_nothing(clock: Clock):
    circuit = Circuit()
    for _ in range(100):
        circuit.fail("status_500", None)
        circuit.fail("status_500", None)
        circuit.succeed()
    assert circuit.allowance(0, LIMIT) == LIMIT


def test_events_that_were_on_their_way_count_once(clock: Clock):
    circuit = Circuit()
    for _ in range(LIMIT * 4):
        circuit.fail("timeout", None)
    assert wait_for_probe(circuit, clock) <= 1


@pytest.mark.parametrize(("retry_after", "pause"), [(30.0, 30.0), (86_400.0, 600.0)])
def test_receiver_may_ask_for_a_pause_of_ten_minutes_at_most(
    clock: Clock, retry_after: float, pause: float
):
    circuit = Circuit()
    circuit.fail("status_429", retry_after)
    clock.now += pause - 0.1
    assert circuit.allowance(0, LIMIT) == 0
    clock.now += 0.2
    assert circuit.allowance(0, LIMIT) == LIMIT


def test_receiver_that_is_gone_is_asked_once_an_hour(clock: Clock):
    circuit = Circuit()
    circuit.fail("status_410", None)
    assert wait_for_probe(circuit, clock) >= 3_600
    circuit.fail("status_410", None)
    assert wait_for_probe(circuit, clock) >= 3_600
