"""A Postgres primary with a streaming standby, which is promoted under load."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from local.postgres_pair import PostgresPair
from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.stacks import copy_template, migrated_stack

WRITERS, READERS = 3, 2
PAUSE = 0.05  # seconds between two requests of one of them
ENOUGH = 50 if LONG else 15  # sign-ups before the promotion, and after it


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    folder = tmp_path_factory.mktemp("pair")
    copy_template(folder, "postgres-a")
    with PostgresPair(folder, durable=False) as running:
        yield running


@pytest.fixture(scope="module")
def service(pair: PostgresPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service on both servers."""
    folder = tmp_path_factory.mktemp("stack")
    env = {"DATABASE_URL": pair.url, "STATEMENT_TIMEOUT_MS": "2000"}
    with migrated_stack(folder, env) as running:
        yield running


class Load:
    """Sign-ups and reads without end, and what was answered when."""

    def __init__(self, url: str) -> None:
        self.people: list[SignedUpPerson] = []
        self.sign_ups: list[tuple[float, int]] = []  # when they were answered, and the status
        self.reads: list[int] = []
        self._url = url
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(WRITERS + READERS) as threads:
            started = [threads.submit(self._sign_up) for _ in range(WRITERS)]
            wait_until(lambda: self.people)
            started += [threads.submit(self._read) for _ in range(READERS)]
            try:
                yield
            finally:
                self._stop.set()
            for each in started:
                each.result(60)

    def answered_after(self, moment: float) -> float | None:
        """Returns the seconds from a moment until the first sign-up that succeeded after it."""
        times = [time for time, status in list(self.sign_ups) if status == 201 and time > moment]
        return min(times) - moment if times else None

    def _sign_up(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while not self._stop.wait(PAUSE):
                response = client.post("/api/v1/signup/", json=sign_up_payload())
                self.sign_ups.append((time.monotonic(), response.status_code))
                if response.status_code == 201:
                    self.people.append(SignedUpPerson(ApiClient(client), response))
                else:
                    assert "retry-after" in response.headers

    def _read(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while not self._stop.wait(PAUSE):
                person = self.people[len(self.reads) * 7 % len(self.people)]
                response = client.get("/api/v1/profile/", headers=person.bearer)
                self.reads.append(response.status_code)


def stored_ids(pair: PostgresPair) -> set[str]:
    with psycopg.connect(pair.url) as connection:
        return {str(row[0]) for row in connection.execute("SELECT id FROM rollcall_person")}


def unfinished(pair: PostgresPair) -> int:
    query = "SELECT count(*) FROM rollcall_outboxentry WHERE finished_at IS NULL"
    with psycopg.connect(pair.url) as connection:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index]  # a row


def test_promotion_under_load_loses_no_answered_sign_up_and_fails_no_read(
    pair: PostgresPair, service: Stack, record_property
):
    load = Load(service.url)
    with load.running():
        wait_until(lambda: len(load.people) >= ENOUGH)
        pair.primary.kill()
        wait_until(lambda: load.sign_ups[-1][1] == 503, timeout=10)
        pair.promote()
        promoted_at = time.monotonic()
        wait_until(lambda: load.answered_after(promoted_at), timeout=10)
        count = len(load.people)
        wait_until(lambda: len(load.people) >= count + ENOUGH)
    assert {status for _, status in load.sign_ups} == {201, 503}
    assert set(load.reads) == {200}
    assert {person.id for person in load.people} <= stored_ids(pair)
    wait_until(lambda: unfinished(pair) == 0)
    with httpx.Client(base_url=service.url) as client:
        for person in load.people:
            assert client.get("/api/v1/profile/", headers=person.bearer).status_code == 200
            assert len(ApiClient(client).mailbox(person.body["email"])) >= 1
    gap = load.answered_after(promoted_at)
    record_property(
        "summary",
        f"Postgres pair: sign-ups back {gap:.2f} s after the promotion; {len(load.people)} made,"
        f" none lost; {len(load.reads)} reads, none failed",
    )


def test_sign_up_that_no_standby_has_is_not_answered_as_done(pair: PostgresPair, service: Stack):
    """The commit waits, and no time limit of Postgres ends that: the client's own does."""
    pair.restore_standby()
    with httpx.Client(base_url=service.url, timeout=20) as client:
        api = ApiClient(client)
        wait_until(lambda: api.post("/api/v1/signup/", sign_up_payload()).status_code == 201)
        pair.standby.stop()
        response = api.post("/api/v1/signup/", sign_up_payload())
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        pair.restore_standby()
        wait_until(lambda: api.post("/api/v1/signup/", sign_up_payload()).status_code == 201)
