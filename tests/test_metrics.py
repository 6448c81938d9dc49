"""GET /metrics tells what happened in every process, and goes on telling when something is away."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.counts import Counts
from api.publishing import Publisher, published
from local.machine import children
from local.stack import Stack
from tests.someone import Rollcall, code_of, eventually
from tests.starting import Starter

PATH = "/metrics"


def numbers(rollcall: Rollcall) -> dict[str, float]:
    """What is told, added up over the processes: 'name label label' -> number."""
    answer = rollcall.http.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = [v for k, v in sorted(sample.labels.items()) if k not in ("process", "le")]
            if "le" not in sample.labels:
                name = sample.name.removeprefix("rollcall_")
                found[" ".join([name, *labels])] += sample.value
    return found


@pytest.fixture
def grown(stack: Stack, rollcall: Rollcall) -> Callable[..., dict[str, float]]:
    """By how much these numbers have grown since the test began."""

    def now() -> dict[str, float]:
        asked_at = time.time()
        files = list((stack.data_dir / "metrics").glob("*.json"))
        # What a killed process has left stays for a while.
        files = [file for file in files if Path(f"/proc/{file.stem}").exists()]
        eventually(lambda: all(file.stat().st_mtime > asked_at for file in files))
        return numbers(rollcall)

    before = now()

    def look(*names: str) -> dict[str, float]:
        after = now()
        return {name: after[name] - before[name] for name in names}

    return look


def test_reads_are_counted_by_status_whichever_process_answers(stack, rollcall: Rollcall, grown):
    someone = rollcall.sign_up()
    etag = someone.profile().headers["etag"]
    url = f"{stack.url}/api/v1/profile/"
    for _ in range(20):
        assert httpx.get(url, headers=someone.bearer).status_code == 200
    someone.profile(**{"If-None-Match": etag})
    httpx.get(url)
    expected = {
        "read_seconds_count 200": 21,
        "read_seconds_count 304": 1,
        "read_seconds_count 401": 1,
        "request_seconds_count POST /api/v1/signup 201": 1,
    }
    assert grown(*expected) == expected
    assert 0 < numbers(rollcall)["read_seconds_sum 200"] < 20


def test_what_a_stranger_types_is_no_label(rollcall: Rollcall, grown):
    rollcall.http.request("PROPFIND", "/tea/for/2")
    assert list(grown("request_seconds_count other none 404").values()) == [1]
    assert "tea" not in rollcall.http.get(PATH).text


def test_a_missing_profile_is_seen_and_so_is_a_redis_that_comes_and_goes(
    django_here, stack: Stack, rollcall: Rollcall, grown
):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()
    redis().delete(f"p:{someone.answer.json()['id'].replace('-', '')}")
    # More than once, because the relay may still be waiting for a Redis that was away.
    assert eventually(lambda: someone.profile().status_code == 200)
    missing, wanted = grown("profile_missing_total", "profile_wanted_total").values()
    assert missing == wanted >= 1
    stack.parts["profiles"].stop()
    try:
        assert someone.confirm("phone", "000000").status_code == 400
        expected = {"profile_redis_lost_total": 2, "rate_limits_unavailable_total": 1}
        assert grown(*expected) == expected
    finally:
        stack.parts["profiles"].start()
    name = "profile_redis_connected_total"
    assert eventually(lambda: grown(name) == {name: 2})
    assert numbers(rollcall)["profile_redis_failed_total"] > 0


def test_the_outbox_and_the_queue_are_told(stack: Stack, django_here, rollcall: Rollcall):
    for name in ("worker", "relay"):
        stack.parts[name].pause()
    try:
        # The first few tasks go to the worker's threads, which wait for them although they sleep.
        someone = [rollcall.sign_up() for _ in range(5)][-1]
        told = numbers(rollcall)
        assert told["postgres_up"] == told["queue_up"] == 1
        assert told["outbox_open confirmation queued"] >= 10
        assert told["queue_length"] > 0
        assert eventually(lambda: numbers(rollcall)["outbox_oldest_due_seconds"] > 0)
        stack.parts["queue"].stop()
        told = numbers(rollcall)
        assert (told["queue_up"], "queue_length" in told) == (0, False)
    finally:
        if not stack.parts["queue"].running:
            stack.parts["queue"].start()
        for name in ("worker", "relay"):
            stack.parts[name].resume()
    someone.settled()
    told = numbers(rollcall)
    assert told["messages_recent email done"] >= 1
    assert told["messages_recent phone done"] >= 1


@contextmanager
def hanging(stack: Stack) -> Iterator[None]:
    """Postgres says nothing meanwhile, to nobody; its connections stand."""
    postmaster = stack.parts["postgres"].pid
    with ExitStack() as undo:
        for pid in (postmaster, *children(postmaster)):
            os.kill(pid, signal.SIGSTOP)
            undo.callback(os.kill, pid, signal.SIGCONT)
        yield


def test_a_postgres_that_hangs_holds_up_neither_metrics_nor_probes(
    stack: Stack, rollcall: Rollcall
):
    for _ in range(10):  # each thread that may ask has a connection
        assert rollcall.http.get("/readyz").status_code == 200
    with hanging(stack):
        told = numbers(rollcall)
        assert (told["postgres_up"], told["queue_up"]) == (0, 1)
        assert not [name for name in told if name.startswith("outbox")]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: httpx.get(f"{stack.url}/readyz", timeout=20), "1234"))
        assert {(each.status_code, each.json()["write"]) for each in answers} == {
            (503, "unavailable")
        }
        assert rollcall.http.get("/livez").status_code == 200
    assert eventually(lambda: numbers(rollcall)["postgres_up"] == 1)
    assert eventually(lambda: rollcall.http.get("/readyz").status_code == 200)


def test_production_tells_nothing_without_a_token_and_all_to_who_has_it(
    django_here, start: Starter
):
    from django.test import Client, override_settings

    token, client = "of-prometheus-alone", Client(HTTP_HOST="localhost")
    with override_settings(METRICS_OPEN=False):
        assert client.get(PATH).status_code == 404
    with override_settings(METRICS_TOKEN=token):
        for wrong in ({}, {"Authorization": "Bearer none"}, {"Authorization": f"Basic {token}"}):
            answer = client.get(PATH, headers=wrong)
            assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    closed = "from django.conf import settings as s; print(s.METRICS_OPEN, repr(s.METRICS_TOKEN))"
    assert start(closed).stdout == "False ''\n"
    refused = start(METRICS_TOKEN="short")
    assert "METRICS_TOKEN" in refused.stderr.splitlines()[-1]


def test_another_method_is_a_405(rollcall: Rollcall):
    assert code_of(rollcall.http.post(PATH)) == "method_not_allowed"


def test_what_a_process_counted_is_found_until_it_ends_or_was_killed_long_ago(tmp_path):
    counts = Counts()
    counts.add("rate_limited", "sign-up")
    counts.took(0.003, "read_seconds", 200)
    counts.took(100.0, "read_seconds", 200)
    publisher = Publisher(tmp_path / "metrics", [counts])
    publisher.start()
    (found,) = eventually(lambda: published(tmp_path / "metrics"))
    assert found.process == str(os.getpid())
    assert (("rate_limited", "sign-up"), 1) in found.counters
    ((key, row),) = found.histograms
    assert (key, row[3], row[-2], row[-1]) == (("read_seconds", 200), 1, 1, 100.003)
    killed = tmp_path / "metrics" / "1.json"
    killed.write_bytes(b'{"counters": [], "histograms": []}')
    assert len(published(tmp_path / "metrics")) == 2
    os.utime(killed, (1, 1))
    assert len(published(tmp_path / "metrics")) == 1
    assert not killed.exists()
    publisher.close()
    assert published(tmp_path / "metrics") == []


def test_a_folder_that_cannot_be_written_is_logged_once_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "metrics").write_text("no folder")
    publisher = Publisher(tmp_path / "metrics", [Counts()])
    publisher.start()
    assert eventually(lambda: caplog.records)
    publisher.close()
    assert "metrics_not_written" in caplog.text
    assert published(tmp_path / "metrics") == []
