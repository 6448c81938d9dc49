"""A locustfile: reads of many people's profiles, one request in ten a sign-up, at a fixed rate.

`python -m loadtests` runs it, and draws the conclusions. By itself, with locust's own page:

    locust -f loadtests/profile.py --host http://127.0.0.1:8000 --users 100 --rate 3500
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

from loadtests.people import new_body, profile_of

_GATHER = 2.0  # seconds until all users are there, and the first of them begins

people: list[dict[str, Any]] = []  # profile and token: who may be read
signed_up: list[dict[str, Any]] = []
requests: list[tuple[str, float, float, str]] = []  # see `keep`
lateness: list[float] = []  # ms, of each request, by this process's own fault
crashes: list[str] = []


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Beside locust's own options."""
    parser.add_argument("--rate", type=float, default=3500, help="requests a minute, of all users")
    parser.add_argument("--people", type=Path, help="JSON file: profile and token of who is there")
    parser.add_argument("--record", type=Path, help="where to write down each request")


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Set the pace of all users."""
    options: Any = environment.parsed_options
    people.extend(json.loads(options.people.read_text()) if options.people else [])
    Client.first = time.time() + _GATHER
    Client.spacing = 60 / options.rate
    Client.period = options.num_users * Client.spacing
    # Locust's many objects stay. To look for garbage among them again and again would stop this
    # process for some 10 ms each time, and count as time of the service.
    gc.collect()
    gc.freeze()


@events.request.add_listener
def keep(
    name: str,
    start_time: float,
    response_time: float,
    exception: Exception | None,
    context: dict[str, float],
    **_: Any,
) -> None:
    """Keep what it was, when it began, how many ms it took, and what was wrong.

    Times as they are: locust rounds those from which it takes its percentiles.
    """
    requests.append((name, start_time, response_time, str(exception or "")))
    lateness.append((start_time - context["due"]) * 1000)


@events.user_error.add_listener
def keep_crash(exception: Exception, **_: Any) -> None:
    """Keep what a task did not foresee: its request was not told to `keep`."""
    crashes.append(repr(exception))


@events.quitting.add_listener
def write_down(environment: Environment, **_: Any) -> None:
    """Hand everything to `python -m loadtests`."""
    options: Any = environment.parsed_options
    if options.record:
        record = {
            "first": Client.first,
            "requests": requests,
            "lateness": lateness,
            "crashes": crashes,
            "signed_up": [person["profile"] for person in signed_up],
        }
        options.record.write_text(json.dumps(record))


class Client(FastHttpUser):
    """One of many who send a request once in a period, each at a moment of their own.

    The rate is that of the users together, and a slow answer does not lower it: while one user
    waits, the others go on. The moments are those of an even beat, each moved at random by up to
    ten beats, so that requests also come close together, as they do in life.
    """

    first: float  # when the first request is due
    spacing: float  # seconds between two requests of all
    period: float  # and between two of the same user
    numbers = itertools.count()
    network_timeout = connection_timeout = 10.0

    def on_start(self) -> None:
        self.slot = self.first + next(self.numbers) * self.spacing
        gevent.sleep(self._until_due())

    def wait_time(self) -> float:
        self.slot += self.period
        return self._until_due()

    def _until_due(self) -> float:
        self.due = self.slot + random.uniform(0, 10 * self.spacing)
        return max(0.0, self.due - time.time())

    def context(self) -> dict[str, float]:
        return {"due": self.due}

    @task(9)
    def read(self) -> None:
        """Read the profile of somebody, and see whether it is theirs."""
        if people:
            self._read_profile_of(random.choice(people))
        else:
            self.sign_up()

    def _read_profile_of(self, person: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {person['token']}"}
        with self.client.get(
            "/api/v1/profile/", headers=headers, name="read", catch_response=True
        ) as answer:
            if body_of(answer, 200) != person["profile"]:
                raise ResponseError("not this person's profile")

    @task(1)
    def sign_up(self) -> None:
        """Be somebody new, who is among those who are read from now on."""
        profile = profile_of(body := new_body())
        with self.client.post(
            "/api/v1/signup/", json=body, name="sign-up", catch_response=True
        ) as answer:
            created = body_of(answer, 201)
            if created["profile"] != profile:
                raise ResponseError("not this person's profile")
            person = {"profile": profile, "token": created["session"]["token"]}
        people.append(person)
        signed_up.append(person)


def body_of(answer: Any, status: int) -> Any:
    """The JSON of an answer. Raises ResponseError if its status is another, or it has none."""
    if answer.status_code != status:
        raise ResponseError(f"status {answer.status_code}" if answer.status_code else answer.error)
    try:
        return answer.json()
    except ValueError:
        raise ResponseError("no JSON") from None
