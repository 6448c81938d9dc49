"""Hung and read-only servers: writes, probes and workers respect their deadlines."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import psycopg
import pytest

from domain.circuit_breaker import CircuitBreaker
from local.stack import Stack
from tests.support.client import ApiClient, sign_up_payload, wait_until
from tests.support.faults import resume, suspend


class TimedResponse(NamedTuple):
    """A response, and its duration in seconds."""

    response: httpx.Response
    seconds: float


type SignUps = Callable[[int], list[TimedResponse]]


@pytest.fixture(scope="module")
def sign_ups(stack: Stack) -> Iterator[SignUps]:
    """Signs up a number of people at once."""
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(base_url=stack.url, timeout=30, limits=limits) as client,
        ThreadPoolExecutor(50) as threads,
    ):

        def sign_up(_: int) -> TimedResponse:
            started_at = time.monotonic()
            response = client.post("/api/v1/signup/", json=sign_up_payload())
            return TimedResponse(response, time.monotonic() - started_at)

        yield lambda count: list(threads.map(sign_up, range(count)))


@contextmanager
def suspended(stack: Stack, part: str) -> Iterator[None]:
    """Suspends a service; afterwards waits until all is ready."""
    suspend(stack.services[part])
    try:
        yield
    finally:
        resume(stack.services[part])
        wait_until_writable(stack)


def wait_until_writable(stack: Stack) -> None:
    """Returns once every write process writes again: each probes at least twice a second."""
    wait_until(lambda: httpx.get(f"{stack.url}/readyz").status_code == 200)
    threading.Event().wait(0.6)


@contextmanager
def read_only(stack: Stack) -> Iterator[None]:
    """Makes Postgres read-only; afterwards waits until all is ready."""
    url = stack.environment()["DATABASE_URL"]
    options = "-c default_transaction_read_only=off"
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            wait_until(lambda: is_read_only(url))
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
            wait_until_writable(stack)


def is_read_only(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SHOW transaction_read_only").fetchone() == ("on",)


def make_log_check(stack: Stack, part: str, text: str) -> Callable[[], bool]:
    """Returns a function that returns whether the service has logged that text since this call."""
    log = stack.data_dir / "logs" / f"{part}.log"
    start = log.stat().st_size

    def has_logged() -> bool:
        with log.open("rb") as file:
            file.seek(start)
            return text in file.read().decode(errors="replace")

    return has_logged


def is_unavailable(timed_response: TimedResponse) -> bool:
    response = timed_response.response
    return response.status_code == 503 and int(response.headers["retry-after"]) >= 1


def write_probe(stack: Stack) -> Callable[[], httpx.Response]:
    return lambda: httpx.get(f"{stack.url}/readyz?capability=write", timeout=20)


# --- Postgres hangs ------------------------------------------------------------------------------


class HungPostgres(NamedTuple):
    """What was seen while Postgres hung, and right after it."""

    first: list[TimedResponse]  # of sign-ups
    reads: list[int]  # during those
    later: list[TimedResponse]
    seconds: float  # of the later ones
    probes: dict[str, int]


@pytest.fixture(scope="module")
def hung(stack: Stack, sign_ups: SignUps) -> HungPostgres:
    """The results of one period, for all tests."""
    assert all(each.response.status_code == 201 for each in sign_ups(20))  # connections are open
    with httpx.Client(base_url=stack.url, timeout=20) as client, ThreadPoolExecutor(1) as other:
        person = ApiClient(client).sign_up()
        has_logged = make_log_check(stack, "relay", "postgres_unavailable")
        with suspended(stack, "postgres"):
            writes = other.submit(sign_ups, 20)
            reads = []
            while not writes.done():
                reads.append(person.profile().status_code)
            started_at = time.monotonic()
            later = [each for _ in range(10) for each in sign_ups(20)]
            seconds = time.monotonic() - started_at
            wait_until(lambda: write_probe(stack)().status_code == 503)
            probes = {
                path: client.get(path).status_code for path in ("/livez", "/readyz?capability=read")
            }
            wait_until(has_logged)
    return HungPostgres(writes.result(), reads, later, seconds, probes)


def test_hung_postgres_gives_each_of_20_sign_ups_a_503_within_10_s(hung: HungPostgres):
    assert all(map(is_unavailable, hung.first))
    assert max(each.seconds for each in hung.first) < 10


def test_hung_postgres_occupies_no_thread_once_a_sign_up_has_timed_out(hung: HungPostgres):
    assert all(map(is_unavailable, hung.later))
    # Without a circuit breaker 200 of them in 16 threads, each for two seconds at least: 25 s.
    assert hung.seconds < 15


def test_all_threads_recover_after_a_hung_postgres(hung: HungPostgres, sign_ups: SignUps):
    wait_until(lambda: sign_ups(1)[0].response.status_code == 201, timeout=10)
    wait_until(lambda: all(each.response.status_code == 201 for each in sign_ups(20)), timeout=20)


def test_reads_continue_while_postgres_hangs(hung: HungPostgres):
    assert set(hung.reads) == {200}
    assert len(hung.reads) > 50


def test_worker_and_relay_survive_a_hung_postgres(hung: HungPostgres, stack: Stack, api: ApiClient):
    person = api.sign_up()
    assert wait_until(lambda: person.messages("email"), timeout=120)
    assert stack.services["worker"].is_running
    assert stack.services["relay"].is_running


def test_hung_postgres_fails_readyz_write_and_not_livez(hung: HungPostgres):
    assert set(hung.probes.values()) == {200}


# --- Postgres is read-only -----------------------------------------------------------------------


def test_read_only_postgres_is_a_503_at_once_and_fails_readyz(
    stack: Stack, api: ApiClient, sign_ups
):
    person = api.sign_up()
    with read_only(stack):
        results = sign_ups(20)
        assert all(map(is_unavailable, results))
        assert max(each.seconds for each in results) < 2  # no timeout was waited for
        probe = write_probe(stack)
        assert wait_until(
            lambda: (
                (response := probe()).status_code == 503 and response.json()["write"] == "read_only"
            ),
            timeout=5,
        )
        assert person.profile().status_code == 200
    assert sign_ups(1)[0].response.status_code == 201


def test_read_only_postgres_delays_messages_and_ends_no_process(stack: Stack, api: ApiClient):
    suspend(stack.services["worker"])
    try:
        person = api.sign_up()
        in_worker = make_log_check(stack, "worker", "ReadOnlySqlTransaction")
        in_relay = make_log_check(stack, "relay", "ReadOnlySqlTransaction")
        with read_only(stack):
            resume(stack.services["worker"])
            assert wait_until(in_worker)
            assert wait_until(in_relay)
            assert person.messages("email") == []
    finally:
        resume(stack.services["worker"])
    assert wait_until(lambda: person.messages("email"), timeout=120)
    assert stack.services["worker"].is_running
    assert stack.services["relay"].is_running


# --- Redis does not respond ----------------------------------------------------------------------


def test_frozen_redis_servers_cost_40_sign_ups_few_timeouts(stack: Stack, api: ApiClient, sign_ups):
    with suspended(stack, "queue"), suspended(stack, "profiles"):
        started_at = time.monotonic()
        results = [sign_ups(1)[0] for _ in range(40)]
        # A timeout each would be 40 s for profiles, 80 s for the queue.
        assert time.monotonic() - started_at < 20
        assert {each.response.status_code for each in results} == {201}
    person = api.sign_up()
    assert wait_until(lambda: person.messages("email"), timeout=120)
    assert wait_until(lambda: person.profile().status_code == 200)


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
    assert wait_until(lambda: len(probed) >= 2, 10)
    assert breaker.is_open
    responds.set()
    assert wait_until(lambda: not breaker.is_open, 10)
    assert len(set(probed)) == 1
