"""A locustfile: reads of profiles and sign-ups on an open-loop schedule.

`python -m loadtests` runs it, with a profile or with locust's web page. Locust's users are only a
pool of connections: the next free one takes the next request of a schedule, waits until it is due,
and sends it. Latencies count from then: requests that are due while the service stalls are not
left out, and each shows the stall (no coordinated omission).

GEVENT_BACKEND=select is exact to microseconds; gevent's default, epoll, wakes up to 1 ms late.
"""

import gc
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, override

import gevent
from gevent.event import Event
from locust import User, constant, events, stats, task
from locust.env import Environment
from locust.exception import StopUser

from loadtests.http_client import Connection, Origin
from loadtests.priority import raise_priority
from loadtests.profiles import PROFILES, Profile
from loadtests.record import Recorder
from loadtests.schedule import READ, SIGN_UP, Arrival, arrivals
from loadtests.traffic import RIGHT_OUTCOMES, Traffic

_START_DELAY = 0.3  # seconds, in which those who wait for the start notice it
_MAX_LATENESS = 10.0  # seconds; what is then not sent has failed
_EXACT_BELOW = 10.0  # ms

stats.PERCENTILES_TO_CHART = [0.5, 0.99, 0.999]
stats.HISTORY_STATS_INTERVAL_SEC = 1
stats.CURRENT_RESPONSE_TIME_PERCENTILE_WINDOW = 2
_bucket = stats.bucket_response_time
# Locust rounds to whole milliseconds, and a read takes a fraction of one.
stats.bucket_response_time = lambda ms: (  # type: ignore[assignment]  # a key of any number
    round(ms, 1) if ms < _EXACT_BELOW else _bucket(ms)  # type: ignore[return-value]  # the same
)


class Load:
    """A running load of a profile; `start` is the end of its warm-up, by time.monotonic."""

    def __init__(self, profile: Profile, origin: Origin, folder: Path) -> None:
        self.profile, self.origin = profile, origin
        self.traffic = Traffic(origin, folder / "people")
        self.recorder = Recorder(folder / "requests.csv")
        self.started, self.ended = Event(), Event()
        self.start = 0.0
        continues = self.recorder.is_before_knee if profile.rising else lambda _: True
        self._schedules = {
            kind: arrivals(profile.stages, fraction, profile.warm_up, continues)
            for kind, fraction in ((READ, 1 - profile.writes), (SIGN_UP, profile.writes))
        }

    def begin(self) -> None:
        """Starts the schedule."""
        # Collections of locust's many permanent objects would stop this process for some 10 ms
        # each, which would count as the service's latency.
        gc.collect()
        gc.freeze()
        raise_priority()
        self.start = time.monotonic() + _START_DELAY + self.profile.warm_up
        self.recorder.begin(self.start)
        self.started.set()

    def next_arrival(self, kind: str) -> Arrival:
        """Returns the next request; raises `StopUser` after the last one."""
        try:
            return next(self._schedules[kind])
        except StopIteration:
            self.ended.set()
            raise StopUser from None

    def quit_at_end(self, runner: Any) -> None:
        """Stops locust once the last response has been received."""
        self.ended.wait()
        runner.user_greenlets.join()
        runner.quit()


load: Load


class Connected(User):
    """A connection of the pool for one kind of requests: a sign-up delays no read."""

    abstract = True
    wait_time = constant(0)
    kind: str

    @override
    def on_start(self) -> None:
        load.started.wait()
        self.connection = Connection(load.origin)

    @task
    def request(self) -> None:
        """Sends the next request of the schedule when it is due."""
        arrival = load.next_arrival(self.kind)
        due_at = load.start + arrival.due
        lag = None  # of this process; none if the request had to wait for a free connection
        if (delay := due_at - time.monotonic()) > 0:
            gevent.sleep(delay)
            lag = (time.monotonic() - due_at) * 1000
        late = time.monotonic() > due_at + _MAX_LATENESS
        outcome = "not sent" if late else load.traffic.send(self.connection, self.kind)
        ms = (time.monotonic() - due_at) * 1000
        load.recorder.write(arrival, self.kind, outcome, ms, lag)
        self.environment.events.request.fire(
            request_type="",
            name=self.kind,
            response_time=ms,
            response_length=0,
            exception=None if outcome in RIGHT_OUTCOMES else outcome,
            context={},
        )


class Reader(Connected):
    """Reads profiles."""

    kind = READ
    weight = 2


class Newcomer(Connected):
    """Signs people up."""

    kind = SIGN_UP
    weight = 1


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Adds options to locust's own; rate and writes are fields of its web page too."""
    hidden: dict[str, Any] = {"include_in_web_ui": False}
    parser.add_argument("--rate", type=float, help="requests per minute")
    parser.add_argument("--writes", type=float, help="percent of them that are sign-ups")
    parser.add_argument("--load-profile", help="name of a profile", **hidden)
    parser.add_argument("--seconds", type=float, help="of the profile", **hidden)
    parser.add_argument("--folder", type=Path, help="with the people; for the record", **hidden)


@events.test_start.add_listener
def on_test_start(environment: Environment, **_: Any) -> None:
    """Prepares the load that the options or the web page describe."""
    global load
    options: Any = environment.parsed_options
    profile = PROFILES[options.load_profile].with_load(
        options.seconds, options.rate, options.writes
    )
    load = Load(profile, Origin.parse(environment.host or ""), options.folder)
    gevent.spawn(load.quit_at_end, environment.runner)


@events.spawning_complete.add_listener
def on_spawning_complete(**_: Any) -> None:
    """Starts the load when all connections are there."""
    if not load.started.is_set():
        load.begin()


@events.test_stop.add_listener
def on_test_stop(**_: Any) -> None:
    """Completes the record."""
    load.recorder.close()
