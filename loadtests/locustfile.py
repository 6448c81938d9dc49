"""A locustfile: profile reads and sign-ups (one request in ten) at a fixed rate.

`python -m loadtests` runs it and reports. To run it alone, with locust's web page:

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --users 100 --rate 3500
"""

import gc
import itertools
import json
import random
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.exception import ResponseError

from loadtests.people import expected_profile, sign_up_payload

_START_DELAY = 2.0  # seconds until all users are spawned and the first request is due

people: list[dict[str, Any]] = []  # profile and token of each person to read
signed_up: list[dict[str, Any]] = []
requests: list[tuple[str, float, float, str]] = []  # see `on_request`
schedule_lags: list[float] = []  # ms of each request, caused by this process
crashes: list[str] = []


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Adds options to locust's own."""
    parser.add_argument(
        "--rate", type=float, default=3500, help="requests per minute, of all users"
    )
    parser.add_argument(
        "--people-file", type=Path, help="JSON: profile and token of each seeded person"
    )
    parser.add_argument("--record", type=Path, help="file to write all requests to")


@events.test_start.add_listener
def on_test_start(environment: Environment, **_: Any) -> None:
    """Sets the schedule of all users."""
    options: Any = environment.parsed_options
    people.extend(json.loads(options.people_file.read_text()) if options.people_file else [])
    RollcallUser.first_due_at = time.time() + _START_DELAY
    RollcallUser.request_interval = 60 / options.rate
    RollcallUser.pacing = options.num_users * RollcallUser.request_interval
    # Collections of locust's many permanent objects would stop this process for some 10 ms each,
    # which would count as the service's latency.
    gc.collect()
    gc.freeze()


@events.request.add_listener
def on_request(
    name: str,
    start_time: float,
    response_time: float,
    exception: Exception | None,
    context: dict[str, float],
    **_: Any,
) -> None:
    """Records kind, start, latency in ms, and error.

    Exact times: locust rounds those of its percentiles.
    """
    requests.append((name, start_time, response_time, str(exception or "")))
    schedule_lags.append((start_time - context["due_at"]) * 1000)


@events.user_error.add_listener
def on_user_error(exception: Exception, **_: Any) -> None:
    """Records an unexpected exception of a task, whose request `on_request` did not receive."""
    crashes.append(repr(exception))


@events.quitting.add_listener
def on_quitting(environment: Environment, **_: Any) -> None:
    """Writes the record for `python -m loadtests`."""
    options: Any = environment.parsed_options
    if options.record:
        record = {
            "first_due_at": RollcallUser.first_due_at,
            "requests": requests,
            "schedule_lags": schedule_lags,
            "crashes": crashes,
            "signed_up": [person["profile"] for person in signed_up],
        }
        options.record.write_text(json.dumps(record))


class RollcallUser(FastHttpUser):
    """A user that sends one request per `pacing`, at times of its own.

    The rate is that of all users together, and a slow response does not lower it: the other users
    continue. Each request is due at an evenly spaced time plus a random delay of up to ten
    intervals, so that requests also arrive in bursts.
    """

    first_due_at: float  # Unix time
    request_interval: float  # seconds between two requests of all users
    pacing: float  # seconds between two requests of one user
    numbers = itertools.count()
    network_timeout = connection_timeout = 10.0

    def on_start(self) -> None:
        self.scheduled_at = self.first_due_at + next(self.numbers) * self.request_interval
        gevent.sleep(self._seconds_until_due())

    def wait_time(self) -> float:
        self.scheduled_at += self.pacing
        return self._seconds_until_due()

    def _seconds_until_due(self) -> float:
        self.due_at = self.scheduled_at + random.uniform(0, 10 * self.request_interval)
        return max(0.0, self.due_at - time.time())

    def context(self) -> dict[str, float]:
        return {"due_at": self.due_at}

    @task(9)
    def read(self) -> None:
        """Reads a random person's profile and checks it."""
        if people:
            self._read_profile_of(random.choice(people))
        else:
            self.sign_up()

    def _read_profile_of(self, person: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {person['token']}"}
        with self.client.get(
            "/api/v1/profile/", headers=headers, name="read", catch_response=True
        ) as response:
            if json_body(response, 200) != person["profile"]:
                raise ResponseError("not this person's profile")

    @task(1)
    def sign_up(self) -> None:
        """Signs up a person, who may be read from now on."""
        profile = expected_profile(payload := sign_up_payload())
        with self.client.post(
            "/api/v1/signup/", json=payload, name="sign-up", catch_response=True
        ) as response:
            created = json_body(response, 201)
            if created["profile"] != profile:
                raise ResponseError("not this person's profile")
            person = {"profile": profile, "token": created["session"]["token"]}
        people.append(person)
        signed_up.append(person)


def json_body(response: Any, status: int) -> Any:
    """Returns the JSON of a response. Raises `ResponseError` for another status or no JSON."""
    if response.status_code != status:
        raise ResponseError(
            f"status {response.status_code}" if response.status_code else response.error
        )
    try:
        return response.json()
    except ValueError:
        raise ResponseError("no JSON") from None
