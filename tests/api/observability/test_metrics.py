"""GET /metrics: counters of all processes, past and present, and the state of outbox and queue."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.client import (
    ApiClient,
    problem_code,
    read_process,
    sign_up_payload,
    socket_path,
    wait_until,
    write_process,
)
from tests.support.faults import resume, suspend, suspended
from tests.support.settings_process import SettingsProcess

PATH, PROFILE = "/metrics", "/api/v1/profile/"
SIGN_UPS = "http_request_duration_seconds_count POST /api/v1/signup"


def get_samples(client: httpx.Client) -> dict[str, float]:
    """Returns the samples without buckets by 'name label label', labels in alphabetical order; of
    profile reads the sum over their sources too.
    """
    response = client.get(PATH)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    present: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            if "le" not in sample.labels:
                name = sample.name.removeprefix("rollcall_")
                labels = sorted(sample.labels.items())
                keys = {
                    tuple(v for k, v in labels if k != hidden and v) for hidden in ("", "source")
                }
                for key in keys:
                    present[" ".join([name, *key])] += sample.value
    return present


type Growth = Callable[..., dict[str, float]]


def track_growth(client: httpx.Client) -> Growth:
    """Returns a function that returns by how much samples have grown since this call."""
    previous = get_samples(client)

    def growth(*names: str) -> dict[str, float]:
        after = get_samples(client)
        return {name: after[name] - previous[name] for name in names}

    return growth


@pytest.fixture(scope="module")
def write(stack: Stack) -> Iterator[tuple[Process, str]]:
    """Two write processes: the main process, and their URL."""
    with write_process(stack, WEB_CONCURRENCY="2", RATE_LIMIT_DOCS="1/hour") as running:
        yield running


@pytest.fixture
def client(write: tuple[Process, str]) -> Iterator[httpx.Client]:
    """A client that opens a connection per request: any process may respond."""
    close = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=write[1], timeout=20, limits=close) as client:
        yield client


@pytest.fixture
def growth(client: httpx.Client) -> Growth:
    return track_growth(client)


def test_requests_are_counted_across_processes(client: httpx.Client, growth: Growth):
    for _ in range(20):
        assert client.post("/api/v1/signup/", json={}).status_code == 400
    assert client.post("/api/v1/signup", json=sign_up_payload()).status_code == 201
    expected = {f"{SIGN_UPS} 400": 20, f"{SIGN_UPS} 201": 1}
    assert growth(*expected) == expected
    duration = growth(f"{SIGN_UPS} 201".replace("_count", "_sum")).popitem()[1]
    assert 0 < duration < 20
    assert growth("process_cpu_seconds_total write").popitem()[1] > 0


def test_client_input_is_never_a_label_value(client: httpx.Client, growth: Growth):
    client.request("PROPFIND", "/tea/for/2")
    assert list(growth("http_request_duration_seconds_count other none 404").values()) == [1]
    assert "tea" not in client.get(PATH).text


def test_duration_starts_when_the_read_process_got_the_request(write, client, growth: Growth):
    def duration(transport: httpx.BaseTransport, started_at: str) -> float:
        name = "http_request_duration_seconds_sum GET /livez 200"
        previous = track_growth(client)
        with httpx.Client(transport=transport, base_url=write[1], timeout=20) as other:
            headers = {"X-Request-Start": started_at}
            assert other.get("/livez", headers=headers).status_code == 200
        return previous(name)[name]

    def unix_transport() -> httpx.HTTPTransport:
        return httpx.HTTPTransport(uds=socket_path(write[1]))

    assert 30 < duration(unix_transport(), f"t={time.time() - 30}") < 55
    for invalid in ("", "t=", "t=nan", "t=inf", f"t={time.time() + 100}", "t=0"):
        assert duration(unix_transport(), invalid) < 20
    assert duration(httpx.HTTPTransport(), f"t={time.time() - 30}") < 20


def test_limited_requests_and_limiter_errors_are_counted(
    stack: Stack, client: httpx.Client, growth: Growth
):
    while client.get("/api/v1/docs/").status_code != 429:
        pass
    stack.services["profiles"].stop()
    try:
        assert client.get("/api/v1/docs/").status_code == 200
    finally:
        stack.services["profiles"].start()
    name = "rate_limited_requests_total docs"
    assert growth(name, "rate_limiter_errors_total") == {name: 1, "rate_limiter_errors_total": 1}


def test_counters_never_decrease_when_processes_are_replaced(
    write: tuple[Process, str], client: httpx.Client, stack: Stack
):
    process, url = write
    previous = get_samples(client)
    process.kill()
    process.start()
    wait_until(lambda: responds(client))
    after = get_samples(client)
    counts = [name for name in previous if "_count " in name or "_total" in name]
    assert counts
    assert [name for name in counts if after[name] < previous[name]] == []
    files = list((stack.data_dir / f"metrics-{url.rpartition(':')[2]}").glob("counter_*.db"))
    assert 2 <= len(files) <= 4  # at most one each for the processes that ran at the same time


def responds(client: httpx.Client, path: str = "/livez") -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


def test_reads_are_counted_by_status_across_processes(stack: Stack, api: ApiClient):
    growth = track_growth(api.http)
    person = api.sign_up()
    etag = person.profile().headers["etag"]
    for _ in range(20):  # on a connection each: by any of the two processes
        assert httpx.get(f"{stack.url}{PROFILE}", headers=person.bearer).status_code == 200
    person.profile(**{"If-None-Match": etag})
    api.http.get(PROFILE)
    name = "http_request_duration_seconds_count GET /api/v1/profile"
    expected = {f"{name} 200": 21, f"{name} 304": 1, f"{name} 401": 1, f"{SIGN_UPS} 201": 1}
    assert wait_until(lambda: growth(*expected) == expected)
    values = get_samples(api.http)
    assert min(values[f"process_cpu_seconds_total {side}"] for side in ("read", "write")) > 0
    assert values["read_processes ok"] == 2


def test_cache_misses_and_redis_disconnects_are_counted(
    django_db_access, stack: Stack, api: ApiClient
):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    growth = track_growth(api.http)
    get_client().delete(f"p:{person.response.json()['id'].replace('-', '')}")
    # Repeated, because the relay may still be waiting for a Redis that was unavailable.
    assert wait_until(lambda: person.profile().status_code == 200)
    names = ("profile_cache_misses_total", "profile_backfill_requests_total")
    assert wait_until(lambda: min(growth(*names).values()) >= 1)
    stack.services["profiles"].stop()
    try:
        disconnected = "redis_disconnects_total profiles"
        assert wait_until(lambda: growth(disconnected) == {disconnected: 2})
    finally:
        stack.services["profiles"].start()
    connected = "redis_connects_total profiles"
    assert wait_until(lambda: growth(connected) == {connected: 2})
    assert get_samples(api.http)["redis_connect_errors_total profiles"] > 0


def test_outbox_and_queue_are_gauges(stack: Stack, django_db_access, api: ApiClient):
    for name in ("worker", "relay"):
        suspend(stack.services[name])
    try:
        # The first tasks go to the worker's waiting threads, even while it is suspended.
        person = [api.sign_up() for _ in range(5)][-1]
        values = get_samples(api.http)
        assert values["postgres_up"] == values["redis_up queue"] == values["write_up"] == 1
        assert values["redis_memory_max_bytes queue"] > values["redis_memory_used_bytes queue"] > 0
        assert values["outbox_entries confirmation queued"] >= 10
        assert values["queue_depth"] > 0
        assert wait_until(lambda: get_samples(api.http)["outbox_oldest_due_age_seconds"] > 0)
        stack.services["queue"].stop()
        values = get_samples(api.http)
        assert (values["redis_up queue"], "queue_depth" in values) == (0, False)
        assert values["redis_up profiles"] == 1
        growth = track_growth(api.http)
    finally:
        if not stack.services["queue"].is_running:
            stack.services["queue"].start()
        for name in ("worker", "relay"):
            resume(stack.services[name])
    person.wait_for_outbox()
    for name in (
        "outbox_attempts_total confirmation done",
        "message_handover_duration_seconds_count confirmation",
        "provider_requests_total accepted mailbox",
        "provider_request_duration_seconds_count mailbox",
    ):
        assert wait_until(partial(lambda name: growth(name)[name] >= 2, name))


def test_postponed_messages_are_counted_by_reason(django_db_access, api: ApiClient):
    from datetime import timedelta

    from django.db.models.functions import Now

    from domain.postgres.models import OutboxEntry

    people = [api.sign_up() for _ in range(2)]
    for person in people:
        person.wait_for_outbox()
    before = get_samples(api.http)
    assert "outbox_postponed sms_quota" in before
    rows = OutboxEntry.objects.filter(person_id__in=[person.id for person in people])
    pending = {"state": "pending", "due_at": Now() + timedelta(hours=1)}
    texts = rows.filter(confirmation__channel="phone")
    emails = rows.filter(confirmation__channel="email")
    try:
        texts.update(**pending, reason_code="sms_quota")
        emails.update(**pending, reason_code="ada@example.com says no")
        values = get_samples(api.http)
        assert values["outbox_postponed sms_quota"] == before["outbox_postponed sms_quota"] + 2
        assert sum(values[name] - before[name] for name in values if "postponed" in name) == 2
        assert "ada@" not in api.http.get(PATH).text
    finally:
        rows.update(state="done")


def test_age_of_the_oldest_message_is_exact_whatever_it_waits_for(django_db_access, api: ApiClient):
    from datetime import timedelta

    from django.db.models.functions import Now

    from domain.postgres.models import OutboxEntry

    person = api.sign_up()
    person.wait_for_outbox()
    rows = OutboxEntry.objects.filter(person_id=person.id, kind="confirmation")
    # What earlier tests have left may be overdue too.
    OutboxEntry.objects.exclude(state="done").update(state="discarded")
    try:
        rows.update(
            state="pending",
            created_at=Now() - timedelta(hours=3),
            due_at=Now() + timedelta(hours=1),
            reason_code="timeout",
        )
        values = get_samples(api.http)
        assert 10_800 <= values["outbox_oldest_age_seconds confirmation"] < 11_000
        assert values["messages_overdue"] == 2
        rows.update(reason_code="sms_quota")
        values = get_samples(api.http)
        assert values["outbox_oldest_age_seconds confirmation"] >= 10_800
        assert values["messages_overdue"] == 0
    finally:
        rows.update(state="done", created_at=Now())
    assert get_samples(api.http)["outbox_oldest_age_seconds confirmation"] < 10_000


def test_statistics_of_the_outbox_read_no_finished_entries(django_db_access):
    from django.db import connection

    from domain.postgres import outbox_stats
    from domain.postgres.models import OutboxEntry

    params: Any
    with connection.cursor() as cursor:
        for sql, params in (
            (outbox_stats._COUNT_UNFINISHED, [outbox_stats.COUNT_LIMIT]),
            (outbox_stats._SELECT_OLDEST_DUE_AGE, []),
            (outbox_stats._SELECT_OLDEST_AGES, [OutboxEntry.Kind.values]),
            (outbox_stats._COUNT_OVERDUE_MESSAGES, [["confirmation"], 30, ["sms_quota"], 10]),
        ):
            cursor.execute("SET enable_seqscan = off")  # as if the table was large
            cursor.execute(f"EXPLAIN {sql}", params)
            plan = " ".join(row[0] for row in cursor.fetchall())
            assert "outbox_created_at_idx" in plan or "outbox_due_at_idx" in plan
            assert "Seq Scan" not in plan


def test_reads_are_counted_by_their_source(django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    growth = track_growth(api.http)

    name = "http_request_duration_seconds_count GET /api/v1/profile"
    names = [f"{name} {each}" for each in ("client_cache 200", "redis 200", "backfill 200")]
    get_client().delete(f"p:{person.response.json()['id'].replace('-', '')}")
    assert wait_until(lambda: person.profile().status_code == 200)

    def read_often() -> bool:
        assert {person.profile().status_code for _ in range(20)} == {200}
        api.http.get(PROFILE)
        return min(growth(*names, f"{name} none 401").values()) > 0

    assert wait_until(read_often)
    assert growth("profile_backfills_total").popitem()[1] > 0


def test_metrics_say_that_the_write_process_is_down(stack: Stack):
    token = "of-prometheus-alone"
    env = {"WRITE_UPSTREAM": f"unix:{stack.data_dir}/none.sock", "METRICS_TOKEN": token}
    with read_process(stack, **env) as (_, url), httpx.Client(base_url=url) as client:
        assert problem_code(client.get(PATH)) == "unavailable"  # as any request to it
        client.headers["Authorization"] = f"Bearer {token}"
        values = get_samples(client)
        assert (values["write_up"], "postgres_up" in values) == (0, False)
        assert wait_until(lambda: get_samples(client)["read_processes ok"] == 1)


def test_relay_without_shared_metrics_serves_its_own(stack: Stack, tmp_path: Path):
    port = find_free_port()
    env = stack.environment() | {"METRICS_PORT": str(port), "METRICS_DIR": str(tmp_path)}
    with (
        Process("relay", [sys.executable, "manage.py", "relay"], tmp_path / "log", env=env),
        httpx.Client(base_url=f"http://{HOST}:{port}") as client,
    ):
        assert wait_until(lambda: responds(client, PATH))
        assert wait_until(lambda: get_samples(client)["relay_last_run_timestamp_seconds"])


def test_relay_and_worker_report_when_they_last_ran(api: ApiClient):
    values = get_samples(api.http)
    for name in ("relay", "worker"):
        assert abs(time.time() - values[f"{name}_last_run_timestamp_seconds"]) < 10


def test_differences_found_by_verify_are_reported(stack: Stack, django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    get_client().delete(f"p:{person.response.json()['id'].replace('-', '')}")
    argv = [sys.executable, "manage.py", "profiles", "verify", "--grace-period", "0.05"]
    process = Process("verify", argv, stack.data_dir / "verify.log", env=stack.environment())
    with process:
        assert process.wait(60)
    values = get_samples(api.http)
    assert values["profile_differences missing"] >= 1
    assert abs(time.time() - values["profile_verify_timestamp_seconds"]) < 60
    wait_until(lambda: person.profile().status_code == 200)  # it is repaired


def test_text_messages_that_are_left_of_the_budget_are_reported(api: ApiClient):
    growth = track_growth(api.http)
    person = api.sign_up()
    person.wait_for_outbox()
    assert wait_until(lambda: growth("sms_quota_remaining sign_ups").popitem()[1] <= -1)
    assert growth("sms_quota sign_ups").popitem()[1] == 0


def test_hung_postgres_blocks_neither_metrics_nor_probes(stack: Stack, api: ApiClient):
    for _ in range(10):  # each thread that may be used has a connection
        assert api.http.get("/readyz").status_code == 200
    with suspended(stack.services["postgres"]):
        values = get_samples(api.http)
        assert (values["postgres_up"], values["redis_up queue"]) == (0, 1)
        assert not [name for name in values if name.startswith("outbox_entries")]

        assert get_samples(api.http)["circuit_breakers_open postgres"] >= 1

        def states() -> set[tuple[int, str]]:
            with ThreadPoolExecutor(4) as pool:
                responses = pool.map(lambda _: httpx.get(f"{stack.url}/readyz", timeout=20), "1234")
            return {(each.status_code, each.json()["write"]) for each in responses}

        # Each write process caches its result for a second.
        assert wait_until(lambda: states() == {(503, "unavailable")}, timeout=10)
        assert api.http.get("/livez").status_code == 200
    assert wait_until(lambda: get_samples(api.http)["postgres_up"] == 1)
    assert wait_until(lambda: get_samples(api.http)["circuit_breakers_open postgres"] == 0)
    assert wait_until(lambda: api.http.get("/readyz").status_code == 200)


def test_metrics_require_the_token_in_production(django_db_access, load_settings: SettingsProcess):
    from django.test import Client, override_settings

    token, client = "of-prometheus-alone", Client(HTTP_HOST="localhost")
    with override_settings(METRICS_PUBLIC=False):
        assert client.get(PATH).status_code == 404
    with override_settings(METRICS_TOKEN=token):
        for headers in ({}, {"Authorization": "Bearer none"}, {"Authorization": f"Basic {token}"}):
            response = client.get(PATH, headers=headers)
            assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    closed = "from django.conf import settings as s; print(s.METRICS_PUBLIC, repr(s.METRICS_TOKEN))"
    assert load_settings(closed).stdout == "False ''\n"
    refused = load_settings(METRICS_TOKEN="short")
    assert "METRICS_TOKEN" in refused.stderr.splitlines()[-1]


def test_other_method_is_a_405(api: ApiClient):
    assert problem_code(api.http.post(PATH)) == "method_not_allowed"
