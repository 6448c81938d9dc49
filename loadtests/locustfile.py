"""What the users of the load do. Run by `python -m loadtests`, which sets LOAD to a JSON file
with `users`, `rate` (requests a second, of all together), `people` (who may be read) and `result`.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task

from loadtests.people import new_body

LOAD = json.loads(Path(os.environ["LOAD"]).read_text())
PERIOD = LOAD["users"] / LOAD["rate"]  # seconds between two requests of one user
people: list[dict[str, str]] = LOAD["people"]
signed_up: list[dict[str, str]] = []
requests: list[tuple[str, float, float, str]] = []  # name, when it ended, ms, what was wrong


@events.request.add_listener
def keep(name: str, response_time: float, exception: Any, **_: Any) -> None:
    """Keep each time as it was: locust's own percentiles are rounded."""
    requests.append((name, time.time(), response_time, str(exception) if exception else ""))


@events.quitting.add_listener
def write_down(**_: Any) -> None:
    """Hand everything to `python -m loadtests`."""
    Path(LOAD["result"]).write_text(json.dumps({"requests": requests, "signed_up": signed_up}))


class Client(FastHttpUser):
    """Reads profiles of many people; one request in ten is somebody new."""

    def on_start(self) -> None:
        """Begin anywhere in the first period."""
        self.slot = time.monotonic()
        gevent.sleep(random.uniform(0, PERIOD))

    def wait_time(self) -> float:
        """Once a period, at any moment of it. The rate is exact, and slow answers do not lower it;
        with locust's own pacing the users would keep step and come in one burst.
        """
        self.slot += PERIOD
        return max(0.0, self.slot + random.uniform(0, PERIOD) - time.monotonic())

    @task(9)
    def read(self) -> None:
        person = random.choice(people)
        headers = {"Authorization": f"Bearer {person['token']}"}
        with self.client.get(
            "/api/v1/profile/", headers=headers, name="read", catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif answer.json()["email"] != person["email"]:
                answer.failure("somebody else's profile")

    @task(1)
    def sign_up(self) -> None:
        body = new_body()
        with self.client.post(
            "/api/v1/signup/", json=body, name="sign-up", catch_response=True
        ) as answer:
            if answer.status_code != 201:
                answer.failure(f"status {answer.status_code}")
                return
            person = {k: body[k] for k in ("email", "phone")}
            person["token"] = answer.json()["session"]["token"]
        people.append(person)
        signed_up.append(person)
