"""The parts of `make load`: verdict, schedule, options, and people."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadtests.__main__ import parse_options
from loadtests.http_client import Connection, Origin
from loadtests.people import Person, read_people, write_people
from loadtests.percentiles import percentile
from loadtests.profiles import METRICS, PROFILES, Profile, Stage
from loadtests.record import Recorder, Request
from loadtests.results import Run
from loadtests.schedule import READ, SIGN_UP, Arrival, arrivals
from loadtests.seeding import sign_up
from loadtests.service import ROLLCALL, Service, Usage
from loadtests.traffic import Traffic
from loadtests.verdict import describe, summarize
from local.processes import StackError
from local.stack import Stack
from local.tcp_ports import HOST
from tests.loadtests.conftest import StartServer
from tests.support.client import ApiClient

OK = (0, 200, "", False)
STORM = {"created": 100, "unavailable": 10, "failed": 0, "seconds": 10.0}


def make_run(profile: Profile, ms: float = 0.5, outcome: str = "200", **fields: Any) -> Run:
    """Returns a run in which nothing is wrong, but for two reads of each stage."""
    requests = []
    for stage in range(len(profile.stages)):
        requests += [Request(stage, 0.5, READ, "200", 0.5, 0.1)] * 100
        requests += [Request(stage, 0.5, SIGN_UP, "201", 9.0, 0.1)] * 10
        requests += [Request(stage, 0.6, READ, outcome, ms, 0.1)] * 2
    run: dict[str, Any] = {"undelivered": 0, "usage": memory(100)}
    if profile.flush:
        run["flushed_at"] = 0.1
    if profile.storm:
        run["storm"] = STORM
    return Run(requests, **run | fields)


def memory(last: float) -> dict[float, Mapping[str, Usage]]:
    """Returns samples of parts that have 100 MB after a quarter of the time, and `last` at last."""
    return {
        seconds: {name: Usage(seconds, mb) for name in ROLLCALL}
        for seconds, mb in ((0.0, 50.0), (1000.0, 100.0), (3600.0, last))
    }


# What breaks each limit in a run that is otherwise right.
BREAKS: dict[str, dict[str, Any]] = {
    "read_p99": {"ms": 100.0},
    "read_p99.9": {"ms": 100.0},
    "after_p99": {"ms": 100.0},
    "failures": {"outcome": "wrong profile"},
    "rejected": {"outcome": "500"},
    "first_read": {"flushed_at": -1.0},
    "unavailable_until": {"outcome": "503", "ms": 2000.0},
    "storm_failures": {"storm": STORM | {"failed": 1}},
    "undelivered": {"undelivered": 1},
    "memory_growth": {"usage": memory(120)},
    "knee": {"ms": 100.0},
}


@pytest.mark.parametrize(
    ("name", "metric"), [(p.name, metric) for p in PROFILES.values() for metric in p.limits]
)
def test_each_limit_of_each_profile_fails_with_a_sentence(name: str, metric: str):
    profile = PROFILES[name]
    assert summarize(profile, make_run(profile))["verdict"] == "PASS"
    if metric not in BREAKS:
        profile = replace(profile, limits={**profile.limits, metric: 0.4})
    summary = summarize(profile, make_run(profile, **BREAKS.get(metric, {})))
    assert summary["verdict"] == "FAIL"
    _, _, broken = describe(summary).partition("\nFAIL\n")
    description, _, comparison = METRICS[metric]
    assert f"  {metric} ({description}): expected {comparison} " in broken


def test_what_a_running_service_does_not_show_is_not_measured():
    profile = PROFILES["steady"]
    summary = summarize(profile, make_run(profile, undelivered=None, usage={}))
    assert summary["verdict"] == "PASS"
    assert "not measured" in describe(summary)


def test_load_without_any_read_fails():
    profile = PROFILES["steady"]
    run = make_run(profile)
    run.requests = [request for request in run.requests if request.kind == SIGN_UP]
    assert summarize(profile, run)["verdict"] == "FAIL"


def test_late_generator_is_reported():
    profile = PROFILES["steady"]
    run = make_run(profile)
    run.requests = [request._replace(lag=7.0) for request in run.requests]
    assert "locust itself was late by 7.00 ms" in describe(summarize(profile, run))


def test_percentiles_are_exact():
    times = [float(n) for n in range(1000, 0, -1)]
    quantiles = (0.5, 0.95, 0.99, 0.999, 1.0)
    assert [percentile(times, quantile) for quantile in quantiles] == [500, 950, 990, 999, 1000]
    assert percentile([0.125], 0.5) == percentile([0.125], 1.0) == 0.125


def test_schedule_has_the_exact_rate_of_each_stage():
    stages = [Stage(2.5, 600), Stage(10, 6_000)]
    schedule = list(arrivals(stages, 0.9, warm_up=1))
    assert [sum(1 for each in schedule if each.stage == n) for n in (-1, 0, 1)] == [9, 22, 900]
    assert all(a.due <= b.due for a, b in pairwise(schedule))
    assert all(2.5 <= each.due < 12.5 for each in schedule if each.stage == 1)


def test_knee_is_reached_when_two_stages_in_succession_are_beyond_it(tmp_path: Path):
    with closing(Recorder(tmp_path / "requests.csv")) as recorder:
        for stage, ms in enumerate([0.5, 50.0, 0.5, 50.0, 50.0]):
            assert recorder.is_before_knee(stage)
            recorder.write(Arrival(stage, float(stage)), READ, "200", ms, None)
        assert not recorder.is_before_knee(5)
        for _ in range(200):  # late responses: reads and sign-ups end together all the same
            recorder.write(Arrival(4, 4.0), READ, "200", 0.5, None)
        assert not recorder.is_before_knee(5)


def test_knee_is_the_highest_rate_before_two_slow_stages_in_succession():
    profile = PROFILES["knee"]
    slow = [False, False, False, True, False, False, True, True, False, False]
    stages = [Request(n, 0.5, READ, "200", 50.0 if it else 0.5, 0.1) for n, it in enumerate(slow)]
    knee = summarize(profile, Run(stages))["measured"]["knee"]
    assert knee == round(profile.stages[5].rate)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["stedy"], "steady"),
        (["--rate", "0"], "'0' is no number from 1 to"),
        (["--rate", "nan"], "'nan' is no number from 1 to"),
        (["--writes", "101"], "'101' is no number from 0 to 100"),
        (["--duration", "soon"], "'soon' is no time such as 90, 30s, 10m or 8h"),
        (["--duration", "0"], "'0' is no time"),
        (["--limit", "read_p98=1"], "'read_p98' is none of read_p50, read_p99"),
        (["--limit", "read_p99=fast"], "'read_p99=fast': the limit must be a number"),
    ],
)
def test_wrong_option_is_named(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as error:
        parse_options(arguments)
    assert error.value.code == 2
    assert text in capsys.readouterr().err


def test_options_are_read():
    arguments = ["soak", "--duration", "1.5h", "--limit", "read_p99=3, failures=2"]
    options = parse_options(arguments)
    assert (options.duration, options.limit) == (5400, {"read_p99": 3, "failures": 2})


@pytest.mark.parametrize("url", ["mybox", "ftp://x", "http://", "http://x/path", "http://x:y"])
def test_host_that_is_no_origin_is_an_error(url: str):
    with pytest.raises(StackError, match="HOST must be"):
        Service(url, None, None)


def test_unreachable_service_is_an_error():
    with pytest.raises(StackError, match=r"HOST: http://127\.0\.0\.1:1 cannot be used"):
        Service("http://127.0.0.1:1", None, None).check(writes=True, real_messages=False)


def test_service_whose_messages_may_be_real_gets_no_sign_ups(start_server: StartServer):
    missing = (0, 404, "", False)
    url = f"http://{HOST}:{start_server(*[OK, missing] * 4)}"
    with pytest.raises(StackError, match="no development mailbox"):
        Service(url, None, Path("people")).check(writes=True, real_messages=False)
    with pytest.raises(StackError, match="no development mailbox"):  # of the people to read
        Service(url, None, None).check(writes=False, real_messages=False)
    Service(url, None, Path("people")).check(writes=False, real_messages=False)
    Service(url, None, None).check(writes=True, real_messages=True)


def test_cold_needs_the_redis_of_a_running_service():
    with pytest.raises(StackError, match="REDIS="):
        Service("http://127.0.0.1:1", None, None).flush()


def test_sign_ups_wait_for_the_rate_limit_but_not_forever(start_server: StartServer):
    port = start_server((0, 429, "retry-after: 400\r\n", False))
    with pytest.raises(StackError, match="only 0 of 3 people"):
        sign_up(f"http://{HOST}:{port}", 3)


def test_people_who_sign_up_through_http_are_read(stack: Stack, tmp_path: Path):
    people = sign_up(stack.url, 2)
    write_people(tmp_path / "people", people)
    assert (tmp_path / "people").stat().st_mode & 0o777 == 0o600
    assert read_people(tmp_path / "people") == people
    outcomes = send(stack.url, tmp_path / "people", READ, SIGN_UP, READ)
    assert outcomes == ["200", "201", "200"]


def test_profile_of_another_person_is_an_error(stack: Stack, api: ApiClient, tmp_path: Path):
    write_people(tmp_path / "people", [Person(api.sign_up().token, "other@example.com")])
    assert send(stack.url, tmp_path / "people", READ) == ["wrong profile"]


def test_response_without_a_session_is_an_error(start_server: StartServer, tmp_path: Path):
    (tmp_path / "people").write_text("token")
    port = start_server((0, 201, "", False), OK)
    outcomes = send(f"http://{HOST}:{port}", tmp_path / "people", SIGN_UP, READ)
    assert outcomes == ["no HTTP, or no session", "200"]


def send(url: str, people: Path, *kinds: str) -> list[str]:
    """Sends requests on one connection; returns their outcomes."""
    origin = Origin.parse(url)
    with closing(Connection(origin)) as connection:
        return [Traffic(origin, people).send(connection, kind) for kind in kinds]


@pytest.mark.parametrize("content", ["", "\n", None])
def test_file_without_people_is_an_error(content: str | None, tmp_path: Path):
    if content is not None:
        (tmp_path / "people").write_text(content)
    with pytest.raises(StackError, match="PEOPLE: "):
        read_people(tmp_path / "people")


def test_broken_connection_is_an_outcome_and_the_next_request_opens_another(
    start_server: StartServer, tmp_path: Path
):
    (tmp_path / "people").write_text("token")
    announced = (0, 503, "connection: close\r\n", True)
    port = start_server(OK, announced, (0, 503, "", True), OK)
    outcomes = send(f"http://{HOST}:{port}", tmp_path / "people", *[READ] * 5)
    assert outcomes == ["200", "503", "503", "no response", "200"]


def test_docs_describe_each_profile_and_its_limits():
    text = Path(__file__).resolve().parents[2].joinpath("docs/load-tests.md").read_text()
    for profile in PROFILES.values():
        assert f"| `{profile.name}` |" in text
        assert [name for name in profile.limits if f"`{name}`" not in text] == []
