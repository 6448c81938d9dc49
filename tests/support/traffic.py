"""Clients that read profiles and sign up without pause, while a test breaks something."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import httpx

from tests.support.client import ApiClient, SignedUpPerson, wait_until

_READ_PAUSE, _SIGN_UP_PAUSE = 0.05, 0.3  # seconds between two requests
_timer = threading.Event()


class Read(NamedTuple):
    """When a response was received, of which person, its status and the name in it."""

    at: float
    person: SignedUpPerson
    status: int
    name: str


class Traffic:
    """Reads these people's profiles in turn, and signs up others, until the end of the block.

    `reads` and `sign_ups` grow with each response. A sign-up that fails fails the test.
    """

    def __init__(self, api: ApiClient, people: list[SignedUpPerson]) -> None:
        self.people = people
        self.reads: list[Read] = []
        self.sign_ups: list[SignedUpPerson] = []
        self._api = api
        self._stopping = threading.Event()
        self._errors: list[AssertionError | httpx.HTTPError] = []
        self._threads = [
            threading.Thread(target=self._repeat, args=arguments)
            for arguments in ((self._read_all, _READ_PAUSE), (self._sign_up, _SIGN_UP_PAUSE))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        assert not self._errors, self._errors

    def wait_until_all_are_read(self, timeout: float) -> None:
        """Returns once each person's profile has been read since now. Fails after the timeout."""
        start = time.monotonic()

        def read_ids() -> set[str]:
            return {read.person.id for read in self.reads if read.at > start and read.status == 200}

        wait_until(lambda: len(read_ids()) == len(self.people), timeout)

    def longest_gap(self, since: float = 0.0) -> float:
        """Returns the longest time since then in which a person's profile could not be read."""
        gaps = [0.0]
        last: dict[str, float] = {}
        for read in self.reads:
            if read.status == 200:
                gaps.append(read.at - max(since, last.get(read.person.id, read.at)))
                last[read.person.id] = read.at
        return max(gaps)

    def failed_reads(self, since: float = 0.0) -> list[Read]:
        """Returns the reads since then that were no 200."""
        return [read for read in self.reads if read.at > since and read.status != 200]

    def _repeat(self, action: Callable[[], None], pause: float) -> None:
        while not self._stopping.is_set():
            try:
                action()
            except (AssertionError, httpx.HTTPError) as error:
                self._errors.append(error)
            _timer.wait(pause)

    def _read_all(self) -> None:
        for person in self.people:
            response = self._api.http.get("/api/v1/profile/", headers=person.bearer)
            name = response.json()["name"] if response.status_code == 200 else ""
            self.reads.append(Read(time.monotonic(), person, response.status_code, name))

    def _sign_up(self) -> None:
        self.sign_ups.append(self._api.sign_up())
