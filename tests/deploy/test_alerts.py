"""Each alert fires because its cause was made to happen, in a real Prometheus with the real rules.

    LONG=1 ALERT_TIME_FACTOR=1 pytest -n 0 tests/deploy/test_alerts.py

prints the table of docs/alerts.md. All durations of the rules are multiplied by ALERT_TIME_FACTOR
(0.1, so that a minute is six seconds); thresholds are as shipped.
"""

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
from redis import Redis

from local.processes import Process
from local.stack import Stack
from tests.conftest import LONG
from tests.deploy.test_prometheus import ALERT_RULES
from tests.support import fake_provider
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    read_process,
    sign_up_payload,
    wait_until,
    write_process,
)
from tests.support.faults import suspended
from tests.support.locks import block_writes
from tests.support.prometheus import Prometheus, run_prometheus, wait_for_alerts
from tests.support.stacks import extra_stack

log = logging.getLogger(__name__)
FACTOR = float(os.environ.get("ALERT_TIME_FACTOR") or 0.1)
# A bug, or what takes days: deploy/prometheus/tests has them.
SIMULATED = {
    "RollcallReadBudgetBurnsSlowly",
    "RollcallMessageBudgetBurnsSlowly",
    "RollcallRedisCallbackErrors",
    "RollcallProfileVerifyOld",
    "RollcallMessagesOverdue",
    "RollcallEventsLate",
    "RollcallEventsGivenUp",
}
type Act = Callable[[], object]


@dataclass
class World:
    """A service of its own, with providers, a person and Prometheus."""

    stack: Stack
    sendgrid: fake_provider.FakeProvider
    person: SignedUpPerson
    prometheus: Prometheus

    def post(self, path: str = "signup/", url: str | None = None, **body: str) -> None:
        """Sends a request, whatever the response."""
        payload = body or sign_up_payload()
        with suppress(httpx.TransportError):
            httpx.post(f"{url or self.stack.url}/api/v1/{path}", json=payload, timeout=20)

    def read(self, count: int = 20) -> None:
        """Reads the profile of the person."""
        for _ in range(count):
            self.person.profile()

    @contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Stops services until the end of the block."""
        for name in names:
            self.stack.services[name].stop()
        try:
            yield
        finally:
            for name in names:
                self.stack.services[name].start()
            self.stack.wait_until_ready()


@contextmanager
def worker_stopped(world: World) -> Iterator[Act]:
    with world.stopped("worker"):
        for _ in range(10):
            world.post()
        yield lambda: None


@contextmanager
def profile_redis_stopped(world: World) -> Iterator[Act]:
    def act() -> None:
        world.read()
        world.post()

    with world.stopped("profiles"):
        yield act


@contextmanager
def postgres_suspended(world: World) -> Iterator[Act]:
    with suspended(world.stack.services["postgres"]):
        yield world.post
    wait_until(lambda: httpx.get(f"{world.stack.url}/readyz").is_success)


@contextmanager
def queue_redis_stopped(world: World) -> Iterator[Act]:
    with world.stopped("queue"):
        yield world.post


@contextmanager
def write_process_stopped(world: World) -> Iterator[Act]:
    with world.stopped("write"):
        yield lambda: None


@contextmanager
def provider_fails(world: World) -> Iterator[Act]:
    accepts = world.sendgrid.default_response
    world.sendgrid.default_response = fake_provider.status(500)
    try:
        yield world.post
    finally:
        world.sendgrid.default_response = accepts


@contextmanager
def writes_are_blocked(world: World) -> Iterator[Act]:
    """Sign-ups wait for a lock in Postgres, and the read process has room for one of them."""
    metrics = {"METRICS_DIR": str(world.stack.data_dir / "metrics")}
    limits = {"WRITE_MAX_CONCURRENCY": "1", "WRITE_MAX_WAITING": "0"}
    with read_process(world.stack, **metrics, **limits) as (_, url):
        with block_writes(world.stack, "rollcall_person"):
            threads: list[threading.Thread] = []

            def act() -> None:
                if not (threads and threads[-1].is_alive()):
                    threads.append(threading.Thread(target=world.post, kwargs={"url": url}))
                    threads[-1].start()
                world.post(url=url)

            yield act
        for thread in threads:
            thread.join()


@contextmanager
def table_is_missing(world: World) -> Iterator[Act]:
    with psycopg.connect(world.stack.environment()["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER TABLE rollcall_signinchallenge RENAME TO away")
        try:
            yield lambda: world.post("sessions/", email="ada@example.com")
        finally:
            connection.execute("ALTER TABLE away RENAME TO rollcall_signinchallenge")


@contextmanager
def profile_is_lost_and_verified(world: World) -> Iterator[Act]:
    environment = world.stack.environment()
    with Redis.from_url(environment["REDIS_URL"]) as redis:
        redis.delete(f"p:{world.person.id.replace('-', '')}")
    argv = [sys.executable, "manage.py", "profiles", "verify", "--grace-period", "0.1"]
    with Process("verify", argv, world.stack.data_dir / "verify.log", env=environment):
        yield lambda: None


@contextmanager
def redis_is_nearly_full(world: World) -> Iterator[Act]:
    with Redis.from_url(world.stack.environment()["REDIS_URL"]) as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.05))
        yield lambda: None
        redis.config_set("maxmemory", 0)


@contextmanager
def worker_has_another_key(world: World) -> Iterator[Act]:
    stack = world.stack
    environment = stack.environment() | {"SECRET_KEY": "another key " * 10}
    argv, log = [sys.executable, "manage.py", "run_huey"], stack.data_dir / "other-worker.log"
    with world.stopped("worker"), Process("other", argv, log, env=environment):
        for _ in range(5):
            world.post()
        yield lambda: None


@contextmanager
def anonymous_clients_are_too_many(world: World) -> Iterator[Act]:
    env = {
        "METRICS_DIR": str(world.stack.data_dir / "metrics"),
        "RATE_LIMIT_ANONYMOUS": "2/minute",
    }
    with write_process(world.stack, **env) as (_, url):
        yield lambda: world.post("sessions/", url=url, email="ada@example.com")


@contextmanager
def worker_and_relay_stopped(world: World) -> Iterator[Act]:
    people = count(1)

    def act() -> None:
        for _ in range(10 if next(people) < 35 else 1):  # with three outbox entries each
            world.post()

    with world.stopped("worker", "relay"):
        yield act
    wait_until(lambda: is_drained(world), timeout=300)


def is_drained(world: World) -> bool:
    samples = world.prometheus.query("rollcall:outbox_open:sum")
    return bool(samples) and float(samples[0]["value"][1]) < 5


@contextmanager
def few_texts_are_allowed(world: World) -> Iterator[Act]:
    for name in ("write", "worker"):
        service = world.stack.services[name]
        service.stop()
        service.env = {**(service.env or {}), "SMS_PER_DAY": "10"}
        service.start()
    world.stack.wait_until_ready()
    people = count(1)

    def act() -> None:
        for _ in range(10 if next(people) < 12 else 0):
            world.post()

    yield act


@contextmanager
def read_process_stopped(world: World) -> Iterator[Act]:
    with world.stopped("read"):
        yield lambda: None


type Cause = Callable[[World], AbstractContextManager[Act]]
CASES: list[tuple[str, Cause, str]] = [
    ("worker stopped, ten people sign up", worker_stopped, "MessageBudgetBurnsFast"),
    (
        "profile Redis stopped, reads go on",
        profile_redis_stopped,
        "ProfileRedisDown ReadsNotReady RateLimiterOff ReadBudgetBurnsFast",
    ),
    (
        "Postgres suspended (SIGSTOP), sign-ups go on",
        postgres_suspended,
        "PostgresDown CircuitBreakerOpen WriteErrors",
    ),
    ("queue Redis stopped", queue_redis_stopped, "QueueRedisDown"),
    ("write process stopped", write_process_stopped, "WriteDown"),
    ("SendGrid responds with 500", provider_fails, "ProviderFailing"),
    ("sign-ups wait for a lock, no room to wait", writes_are_blocked, "WriteSideFull"),
    ("a table is missing", table_is_missing, "InternalErrors"),
    ("a profile deleted in Redis, verify", profile_is_lost_and_verified, "ProfileDrift"),
    ("maxmemory 5 % above what is used", redis_is_nearly_full, "RedisMemoryHigh"),
    ("worker with another SECRET_KEY", worker_has_another_key, "KeyUnknown"),
    (
        "third request without a session, two allowed",
        anonymous_clients_are_too_many,
        "AnonymousLimitReached",
    ),
    (
        "worker and relay stopped, 350 people sign up, and more",
        worker_and_relay_stopped,
        """RelayNotRunning WorkersNotRunning OutboxNotDispatched ProjectionLag QueueLong
        OutboxGrowing""",
    ),
    (
        "10 text messages a day allowed, 110 people sign up",
        few_texts_are_allowed,
        "SmsQuotaLow MessagesPostponed",
    ),
    ("read process stopped", read_process_stopped, "Down"),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if not LONG:
        pytest.skip("causes are made to happen with LONG=1")
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed (on Debian: apt-get install prometheus)")
    with ExitStack() as stack:
        sendgrid = stack.enter_context(fake_provider.FakeProvider())
        vonage = stack.enter_context(fake_provider.FakeProvider(tls=True))
        env = fake_provider.provider_settings(sendgrid, vonage)
        running = stack.enter_context(extra_stack(tmp_path / "stack", **env))
        http = stack.enter_context(httpx.Client(base_url=running.url, timeout=20))
        person = ApiClient(http).sign_up()
        target = running.url.removeprefix("http://")
        prometheus = run_prometheus(tmp_path / "prometheus", target, FACTOR)
        yield World(running, sendgrid, person, stack.enter_context(prometheus))


def test_each_alert_fires_by_its_cause(
    world: World, record_property: Callable[[str, object], None]
):
    wait_until(lambda: world.prometheus.query("rollcall_postgres_up == 1"), timeout=60)
    timeout = 200 + 600 * FACTOR
    fired = set[str]()
    for cause, make, alerts in CASES:
        names = {f"Rollcall{name}" for name in alerts.split()}
        seconds = wait_for_alerts(world.prometheus, names, make(world), timeout)
        fired |= names
        for name in sorted(names, key=lambda name: seconds[name]):
            row = f"| {cause} | {name} | {seconds[name]:.0f} |"
            log.warning(row)  # with --log-file, while it runs
            record_property("summary", row)
    assert fired | SIMULATED == ALERT_RULES.keys()


def test_alerts_that_no_cause_makes_fire_are_simulated():
    tests = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "tests"
    text = " ".join(file.read_text() for file in tests.glob("*.yml"))
    caused = {f"Rollcall{name}" for _, _, alerts in CASES for name in alerts.split()}
    assert {name for name in ALERT_RULES if f"alertname: {name}\n" not in text} <= caused
    assert caused | SIMULATED == ALERT_RULES.keys()
