"""Outages of the write process: reads continue, writes are a 503 or succeed."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST
from tests.conftest import LONG
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    read_process,
    sign_up_payload,
    socket_path,
    wait_until,
    write_process,
)
from tests.support.faults import child_pids, suspended

SIGN_UP = "/api/v1/signup/"


@pytest.fixture(scope="module")
def own_write_process(stack: Stack) -> Iterator[tuple[Process, str]]:
    """A write process of the test's own, and the value of WRITE_UPSTREAM for it."""
    with write_process(stack) as (process, url):
        yield process, f"unix:{socket_path(url)}"


@pytest.fixture(scope="module")
def reader(stack: Stack, own_write_process: tuple[Process, str]) -> Iterator[str]:
    """The URL of a read process in front of it, which waits for it for two seconds."""
    _, upstream = own_write_process
    with read_process(stack, WRITE_UPSTREAM=upstream, WRITE_TIMEOUT="2") as (_, url):
        yield url


def sign_up(url: str) -> httpx.Response:
    return httpx.post(url + SIGN_UP, json=sign_up_payload(), timeout=30)


def is_unavailable(response: httpx.Response) -> bool:
    if response.status_code != 503:
        return False
    assert problem_code(response) == "unavailable"
    assert response.headers["retry-after"]
    return True


def assert_reads_work(url: str, person: SignedUpPerson) -> None:
    with httpx.Client(base_url=url, timeout=5) as client:
        for _ in range(100):
            assert client.get("/api/v1/profile/", headers=person.bearer).status_code == 200
        assert client.get("/readyz?capability=read").status_code == 200
        assert client.get("/livez").status_code == 200


def test_killed_write_process_is_a_503_at_once_and_recovers(
    api: ApiClient, own_write_process: tuple[Process, str], reader: str
):
    process, _ = own_write_process
    person = api.sign_up()
    wait_until(lambda: sign_up(reader).status_code == 201)
    process.kill()
    started_at = time.monotonic()
    assert is_unavailable(sign_up(reader))
    assert time.monotonic() - started_at < 5
    assert_reads_work(reader, person)
    process.start()
    wait_until(lambda: sign_up(reader).status_code == 201)


def test_hung_write_process_is_a_503_and_recovers(
    api: ApiClient, own_write_process: tuple[Process, str], reader: str
):
    process, _ = own_write_process
    person = api.sign_up()
    wait_until(lambda: sign_up(reader).status_code == 201)
    with suspended(process):
        assert is_unavailable(sign_up(reader))
        assert_reads_work(reader, person)
        started_at = time.monotonic()
        assert is_unavailable(sign_up(reader))
        assert time.monotonic() - started_at < 2, "at once, once it is known to hang"
    wait_until(lambda: sign_up(reader).status_code == 201)


def check_abandoned_request(process: Process, url: str) -> None:
    """A request that was answered with a 503 is not executed later."""
    from domain.postgres.models import Person

    body = sign_up_payload()
    log = process.log
    assert log is not None
    before = log.read_text().count("request_abandoned")
    wait_until(lambda: sign_up(url).status_code == 201)
    with suspended(process):
        assert is_unavailable(httpx.post(url + SIGN_UP, json=body, timeout=30))
    wait_until(lambda: sign_up(url).status_code == 201)
    wait_until(lambda: log.read_text().count("request_abandoned") > before, timeout=10)
    assert not Person.objects.filter(email=body["email"]).exists()


def test_request_that_was_answered_503_is_not_executed_later(
    django_db_access, own_write_process: tuple[Process, str], reader: str
):
    """Else its effect would follow that of the client's next attempt."""
    check_abandoned_request(own_write_process[0], reader)


@pytest.mark.skipif(not LONG, reason="the same by TCP: LONG=1")
def test_request_that_was_answered_503_is_not_executed_later_by_tcp(
    stack: Stack, django_db_access, own_write_process: tuple[Process, str]
):
    process, upstream = own_write_process
    upstream = f"{HOST}:{upstream.rpartition('-')[2].removesuffix('.sock')}"
    with read_process(stack, WRITE_UPSTREAM=upstream, WRITE_TIMEOUT="1") as (_, url):
        check_abandoned_request(process, url)


def test_full_write_process_is_a_503_and_reads_continue(
    stack: Stack, api: ApiClient, own_write_process: tuple[Process, str]
):
    process, upstream = own_write_process
    person = api.sign_up()
    limits = {"WRITE_MAX_CONCURRENCY": "2", "WRITE_MAX_WAITING": "2", "WRITE_TIMEOUT": "20"}
    with (
        read_process(stack, WRITE_UPSTREAM=upstream, **limits) as (_, url),
        ThreadPoolExecutor(10) as pool,
    ):
        with suspended(process):
            requests = [pool.submit(sign_up, url) for _ in range(10)]
            wait_until(lambda: sum(request.done() for request in requests) == 6)
            assert_reads_work(url, person)
        statuses = Counter(request.result().status_code for request in requests)
        assert statuses == {201: 4, 503: 6}


@pytest.mark.parametrize("case", [*(["reload"] * LONG), "redeploy"])
def test_replaced_write_process_fails_no_request(
    stack: Stack, own_write_process: tuple[Process, str], case: str
):
    """SIGHUP starts new workers; SIGUSR2 and SIGTERM a new main process, on the same socket."""
    process, upstream = own_write_process
    port = int(upstream.rpartition("-")[2].removesuffix(".sock"))
    log = stack.data_dir / "logs" / f"write-{port}.log"
    statuses: Counter[int] = Counter()
    stopped = threading.Event()

    def keep_signing_up(url: str) -> None:
        while not stopped.is_set():
            statuses[sign_up(url).status_code] += 1

    with (
        read_process(stack, WRITE_UPSTREAM=upstream) as (_, url),
        ThreadPoolExecutor(4) as pool,
    ):
        clients = [pool.submit(keep_signing_up, url) for _ in range(4)]
        try:
            wait_until(lambda: statuses[201] > 20)
            started = log.read_text().count("Booting worker")
            process.send(signal.SIGHUP if case == "reload" else signal.SIGUSR2)
            wait_until(lambda: log.read_text().count("Booting worker") > started)
            if case == "redeploy":
                wait_until(lambda: len(child_pids(process.pid)) == 2)
                new_main = max(child_pids(process.pid))
                wait_until(lambda: child_pids(new_main))
                before = statuses[201]
                wait_until(lambda: statuses[201] > before + 20)
                process.send(signal.SIGTERM)
            before = statuses[201]
            wait_until(lambda: statuses[201] > before + 50)
        finally:
            stopped.set()
            for client in clients:
                client.result()
    assert set(statuses) == {201}
