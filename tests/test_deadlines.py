"""Servers that do not respond, or refuse to write: what writes, probes and workers do."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import psycopg
import pytest

from domain.stores.circuit_breaker import CircuitBreaker
from local.stack import Stack
from tests.someone import Rollcall, eventually, new_body


class Timed(NamedTuple):
    """A response, and how many seconds it took."""

    response: httpx.Response
    seconds: float


@pytest.fixture
def sign_ups(stack: Stack) -> Iterator[Callable[[int], list[Timed]]]:
    """Signs up that many people at once."""
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(base_url=stack.url, timeout=30, limits=limits) as client,
        ThreadPoolExecutor(50) as threads,
    ):

        def sign_up(_: int) -> Timed:
            started_at = time.monotonic()
            response = client.post("/api/v1/signup/", json=new_body())
            return Timed(response, time.monotonic() - started_at)

        yield lambda count: list(threads.map(sign_up, range(count)))


@contextmanager
def paused(stack: Stack, part: str) -> Iterator[None]:
    """Freezes a part; afterwards the service is ready again."""
    stack.services[part].suspend()
    try:
        yield
    finally:
        stack.services[part].resume()
        writing_again(stack)


def writing_again(stack: Stack) -> None:
    """Returns when every web process writes again: each probes a server at least twice a second."""
    eventually(lambda: httpx.get(f"{stack.url}/readyz").status_code == 200)
    threading.Event().wait(1)


@contextmanager
def read_only(stack: Stack) -> Iterator[None]:
    """Makes Postgres refuse to write; afterwards the service is ready again."""
    url = stack.environment()["DATABASE_URL"]
    options = "-c default_transaction_read_only=off"
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            eventually(lambda: is_read_only(url))
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
            writing_again(stack)


def is_read_only(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SHOW transaction_read_only").fetchone() == ("on",)


def logged(stack: Stack, part: str, text: str) -> Callable[[], bool]:
    """Returns a function that tells whether the part has logged that text from now on."""
    log = stack.data_dir / "logs" / f"{part}.log"
    start = log.stat().st_size

    def look() -> bool:
        with log.open("rb") as file:
            file.seek(start)
            return text in file.read().decode(errors="replace")

    return look


def unavailable(timed: Timed) -> bool:
    response = timed.response
    return response.status_code == 503 and int(response.headers["retry-after"]) >= 1


def write_probe(stack: Stack) -> Callable[[], httpx.Response]:
    return lambda: httpx.get(f"{stack.url}/readyz?capability=write", timeout=20)


# --- Postgres hangs ------------------------------------------------------------------------------


def test_hung_postgres_gives_each_of_20_sign_ups_a_503_within_10_s(stack: Stack, sign_ups):
    assert all(each.response.status_code == 201 for each in sign_ups(20))  # connections are open
    with paused(stack, "postgres"):
        results = sign_ups(20)
        assert all(map(unavailable, results))
        assert max(each.seconds for each in results) < 10


def test_hung_postgres_occupies_no_thread_once_a_sign_up_has_timed_out(stack: Stack, sign_ups):
    with paused(stack, "postgres"):
        sign_ups(20)
        started_at = time.monotonic()
        results = [each for _ in range(10) for each in sign_ups(20)]
        assert all(map(unavailable, results))
        # Without a circuit breaker 200 of them in 16 threads, each for two seconds at least: 25 s.
        assert time.monotonic() - started_at < 15


def test_all_threads_recover_after_a_hung_postgres(stack: Stack, sign_ups):
    with paused(stack, "postgres"):
        assert all(map(unavailable, sign_ups(20)))
    eventually(lambda: sign_ups(1)[0].response.status_code == 201, within=10)
    eventually(lambda: all(each.response.status_code == 201 for each in sign_ups(20)), within=20)


def test_reads_continue_while_postgres_hangs(stack: Stack, rollcall: Rollcall, sign_ups):
    someone = rollcall.sign_up()
    with paused(stack, "postgres"), ThreadPoolExecutor(1) as other:
        writes = other.submit(sign_ups, 20)
        reads = 0
        while not writes.done():
            assert someone.profile().status_code == 200
            reads += 1
        assert reads > 50


def test_worker_and_relay_survive_a_hung_postgres(stack: Stack, rollcall: Rollcall):
    with paused(stack, "postgres"):
        rollcall.post("/api/v1/signup/", new_body())
        assert eventually(logged(stack, "relay", "postgres_unavailable"))
    someone = rollcall.sign_up()
    assert eventually(lambda: someone.messages("email"), within=120)


def test_hung_postgres_fails_readyz_write_and_not_livez(stack: Stack, rollcall: Rollcall):
    with paused(stack, "postgres"):
        probe = write_probe(stack)
        assert eventually(lambda: probe().status_code == 503)
        assert rollcall.http.get("/livez").status_code == 200
        assert rollcall.http.get("/readyz?capability=read").status_code == 200


# --- Postgres is read-only -----------------------------------------------------------------------


def test_read_only_postgres_is_a_503_at_once_and_fails_readyz(
    stack: Stack, rollcall: Rollcall, sign_ups
):
    someone = rollcall.sign_up()
    with read_only(stack):
        results = sign_ups(20)
        assert all(map(unavailable, results))
        assert max(each.seconds for each in results) < 2  # no timeout was waited for
        probe = write_probe(stack)
        assert eventually(
            lambda: (
                (response := probe()).status_code == 503 and response.json()["write"] == "read_only"
            ),
            within=5,
        )
        assert someone.profile().status_code == 200
    assert sign_ups(1)[0].response.status_code == 201


def test_read_only_postgres_delays_messages_and_ends_no_process(
    stack: Stack, rollcall: Rollcall
):
    stack.services["worker"].suspend()
    try:
        someone = rollcall.sign_up()
        in_worker = logged(stack, "worker", "ReadOnlySqlTransaction")
        in_relay = logged(stack, "relay", "ReadOnlySqlTransaction")
        with read_only(stack):
            stack.services["worker"].resume()
            assert eventually(in_worker)
            assert eventually(in_relay)
            assert someone.messages("email") == []
    finally:
        stack.services["worker"].resume()
    assert eventually(lambda: someone.messages("email"), within=120)
    assert stack.services["worker"].is_running
    assert stack.services["relay"].is_running


# --- Redis does not respond ----------------------------------------------------------------------


@pytest.mark.parametrize("part", ["profiles", "queue"])
def test_frozen_redis_costs_40_sign_ups_few_timeouts(
    stack: Stack, rollcall: Rollcall, sign_ups, part: str
):
    with paused(stack, part):
        started_at = time.monotonic()
        results = [sign_ups(1)[0] for _ in range(40)]
        # A timeout each would be 40 s for profiles, 80 s for the queue.
        assert time.monotonic() - started_at < 20
        assert {each.response.status_code for each in results} == {201}
    someone = rollcall.sign_up()
    assert eventually(lambda: someone.messages("email"), within=120)
    assert eventually(lambda: someone.profile().status_code == 200)


def test_circuit_breaker_is_open_until_a_probe_succeeds():
    breaker = CircuitBreaker("server")
    responds = threading.Event()
    probed: list[int] = []

    def probe() -> None:
        probed.append(threading.get_ident())
        if not responds.is_set():
            raise TimeoutError

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: breaker.open(probe, TimeoutError), range(64)))
    assert eventually(lambda: len(probed) >= 2, 10)
    assert breaker.is_open
    responds.set()
    assert eventually(lambda: not breaker.is_open, 10)
    assert len(set(probed)) == 1
