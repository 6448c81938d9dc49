"""Runs a load test: seeds people, runs locust, and waits for the messages."""

import json
import sys
import threading
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import httpx

from loadtests.people import sign_up_payload
from loadtests.report import Report, Request
from local.processes import Process, StackError

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
USERS = 100
DELIVERY_TIMEOUT = 60.0  # seconds after the last sign-up
_LOCUST_TIMEOUT_MARGIN = 30.0  # seconds to start, to exit, and for the last responses


@dataclass(frozen=True)
class LoadProfile:
    """`rate` requests per minute for `seconds`, after `warm_up` seconds that are not measured, to a
    service where `seed_people` people have signed up before.
    """

    rate: float = 3500
    seconds: float = 60
    warm_up: float = 5
    seed_people: int = 300


def run(load: LoadProfile, url: str, folder: Path) -> Report:
    """Runs a load test; `folder` is for locust's files and log.

    Raises `StackError` if the service cannot be used, or locust fails.
    """
    try:
        with httpx.Client(base_url=url, timeout=10) as service:
            seeded = _sign_up(service, load.seed_people)
            if undelivered := _count_undelivered(service, [person["profile"] for person in seeded]):
                raise StackError(f"{undelivered} messages were not delivered before the load")
            record = _run_locust(load, url, seeded, folder)
            undelivered = _count_undelivered(service, record["signed_up"])
    except httpx.HTTPError as error:
        raise StackError(f"{url} cannot be used: {error!r}") from error
    return _make_report(load, record, undelivered)


def _make_report(load: LoadProfile, record: Any, undelivered: int) -> Report:
    measured_from = record["first_due_at"] + load.warm_up
    counted = [
        r for r in record["requests"] if measured_from <= r[1] < measured_from + load.seconds
    ]
    return Report(
        seconds=load.seconds,
        requests=[Request(kind, ms, error) for kind, _, ms, error in counted],
        schedule_lags=record["schedule_lags"],
        errors=[f"{kind}: {error}" for kind, _, _, error in record["requests"] if error]
        + record["crashes"],
        messages=2 * len(record["signed_up"]),
        undelivered=undelivered,
    )


def _sign_up(service: httpx.Client, count: int) -> list[dict[str, Any]]:
    """Signs people up, one after the other; returns profile and token of each."""
    people = []
    for _ in range(count):
        response = service.post("/api/v1/signup/", json=sign_up_payload())
        created = response.raise_for_status().json()
        people.append({"profile": created["profile"], "token": created["session"]["token"]})
    return people


def _run_locust(load: LoadProfile, url: str, people: list[dict[str, Any]], folder: Path) -> Any:
    """Runs locust in a process, because it patches the standard library; returns its record."""
    seeded, record = folder / "people.json", folder / "record.json"
    seeded.write_text(json.dumps(people))
    duration = load.warm_up + load.seconds + 3  # requests start after two seconds
    options = {
        "--locustfile": LOCUSTFILE,
        "--host": url,
        "--users": USERS,
        "--spawn-rate": USERS,
        "--run-time": f"{ceil(duration)}s",  # locust accepts whole seconds
        "--stop-timeout": 10,
        "--exit-code-on-error": 0,
        "--rate": load.rate,
        "--people-file": seeded,
        "--record": record,
    }
    arguments = [str(argument) for option in options.items() for argument in option]
    argv = [sys.executable, "-m", "locust", "--headless", "--only-summary", *arguments]
    locust = Process("locust", argv, folder / "locust.log")
    locust.run(timeout=duration + _LOCUST_TIMEOUT_MARGIN)
    return json.loads(record.read_text())


def _count_undelivered(service: httpx.Client, profiles: list[dict[str, Any]]) -> int:
    """Returns how many of the people's messages are not in the mailbox by the deadline."""
    recipients = {profile[channel] for profile in profiles for channel in ("email", "phone")}
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    timer = threading.Event()
    while True:
        messages = service.get("/dev/mailbox.json").raise_for_status().json()
        undelivered = recipients - {message["to"] for message in messages}
        if not undelivered or time.monotonic() > deadline:
            return len(undelivered)
        timer.wait(0.5)
