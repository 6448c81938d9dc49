"""Running a load against a service: who is there before, locust, and the messages after it."""

import json
import sys
import threading
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import httpx

from loadtests.people import new_body
from loadtests.report import Report, Request
from local.processes import LocalError, Process

PROFILE = Path(__file__).with_name("profile.py")
USERS = 100
DELIVERED_WITHIN = 60.0  # seconds after the last sign-up
_LOCUST_TAKES = 30.0  # seconds at most, to start, to end, and for the last answers


@dataclass(frozen=True)
class Load:
    """`rate` requests a minute for `seconds`, after `warm_up` seconds that do not count, to a
    service where `people` more people have signed up before.
    """

    rate: float = 3500
    seconds: float = 60
    warm_up: float = 5
    people: int = 300


def run(load: Load, url: str, folder: Path) -> Report:
    """Do all of it; `folder` is for what locust says and is told.

    Raises LocalError if the service cannot be used, or locust does not do its work.
    """
    try:
        with httpx.Client(base_url=url, timeout=10) as service:
            there = _sign_up(service, load.people)
            if missing := _missing(service, [person["profile"] for person in there]):
                raise LocalError(f"{missing} messages were not delivered even before the load")
            record = _locust(load, url, there, folder)
            missing = _missing(service, record["signed_up"])
    except httpx.HTTPError as error:
        raise LocalError(f"{url} cannot be used: {error!r}") from error
    return _report(load, record, missing)


def _report(load: Load, record: Any, missing: int) -> Report:
    begin = record["first"] + load.warm_up
    counted = [r for r in record["requests"] if begin <= r[1] < begin + load.seconds]
    return Report(
        seconds=load.seconds,
        requests=[Request(kind, ms, wrong) for kind, _, ms, wrong in counted],
        lateness=record["lateness"],
        wrong=[f"{kind}: {wrong}" for kind, _, _, wrong in record["requests"] if wrong]
        + record["crashes"],
        messages=2 * len(record["signed_up"]),
        missing=missing,
    )


def _sign_up(service: httpx.Client, count: int) -> list[dict[str, Any]]:
    """Sign people up, one after the other: profile and token of each."""
    people = []
    for _ in range(count):
        answer = service.post("/api/v1/signup/", json=new_body())
        created = answer.raise_for_status().json()
        people.append({"profile": created["profile"], "token": created["session"]["token"]})
    return people


def _locust(load: Load, url: str, people: list[dict[str, Any]], folder: Path) -> Any:
    """What locust recorded. It runs in a process of its own, because it patches the one it is in:
    see `profile.py`.
    """
    there, record = folder / "people.json", folder / "record.json"
    there.write_text(json.dumps(people))
    lasting = load.warm_up + load.seconds + 3  # it begins two seconds after its start
    options = {
        "--locustfile": PROFILE,
        "--host": url,
        "--users": USERS,
        "--spawn-rate": USERS,
        "--run-time": f"{ceil(lasting)}s",  # locust takes whole ones
        "--stop-timeout": 10,
        "--exit-code-on-error": 0,
        "--rate": load.rate,
        "--people": there,
        "--record": record,
    }
    words = [str(word) for option in options.items() for word in option]
    argv = [sys.executable, "-m", "locust", "--headless", "--only-summary", *words]
    locust = Process("locust", argv, folder / "locust.log")
    locust.run(timeout=lasting + _LOCUST_TAKES)
    return json.loads(record.read_text())


def _missing(service: httpx.Client, profiles: list[dict[str, Any]]) -> int:
    """How many of the people's messages have not come to the mailbox in the time they have."""
    wanted = {profile[channel] for profile in profiles for channel in ("email", "phone")}
    deadline = time.monotonic() + DELIVERED_WITHIN
    pause = threading.Event()
    while True:
        messages = service.get("/dev/mailbox.json").raise_for_status().json()
        missing = wanted - {message["to"] for message in messages}
        if not missing or time.monotonic() > deadline:
            return len(missing)
        pause.wait(0.5)
