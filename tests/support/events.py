"""Events of a service that has a webhook: on the shared stack, written by a write process of its
own and delivered by relays of its own.
"""

import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from local.processes import Process
from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, wait_until, write_process
from tests.support.fake_provider import FakeProvider, Request

_MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
KEY = b"a key of at least 24 bytes"
NEXT_KEY = b"another key of 24 bytes, or so"
_numbers = count(1)


def encode_secret(key: bytes) -> str:
    """Returns a secret as settings have it."""
    return f"whsec_{b64encode(key).decode()}"


def event_settings(url: str) -> dict[str, str]:
    """Returns the environment of processes that write or deliver events."""
    return {
        "EVENT_WEBHOOK_URL": url,
        "EVENT_WEBHOOK_SECRET": f"{encode_secret(KEY)},{encode_secret(NEXT_KEY)}",
        "EVENT_WEBHOOK_TIMEOUT": "1",
        "EVENT_WEBHOOK_CONCURRENCY": "4",
        "OUTBOX_LEASE_SECONDS": "2",
    }


def start_relay(stack: Stack, url: str, **env: str) -> Process:
    """Starts a relay that delivers events; the caller stops it."""
    name = f"event-relay-{next(_numbers)}"
    argv = [sys.executable, str(_MANAGE), "relay"]
    metrics = {"METRICS_DIR": str(stack.data_dir / f"metrics-{name}")}
    log = stack.data_dir / "logs" / f"{name}.log"
    environment = stack.environment() | event_settings(url) | metrics | env
    relay = Process(name, argv, log, env=environment)
    relay.start()
    return relay


class Event(NamedTuple):
    """A request to the receiver: its id, and the event."""

    webhook_id: str
    document: dict[str, Any]

    @property
    def number(self) -> int:
        """The number of the event, which grows."""
        return int(self.webhook_id.split("_")[1])


class EventService(NamedTuple):
    """A service with a receiver of its events."""

    stack: Stack
    api: ApiClient
    receiver: FakeProvider
    relay: Process

    def requests_about(self, person: SignedUpPerson | str) -> list[Request]:
        person_id = person if isinstance(person, str) else person.id
        return [each for each in self.receiver.requests if person_id.encode() in each.body]

    def received(self, person: SignedUpPerson, number: int = 0) -> list[dict[str, Any]]:
        """Returns a person's events in the order of arrival, once there are `number`."""
        wait_until(lambda: len(self.requests_about(person)) >= number, timeout=30)
        return [each.json for each in self.requests_about(person)]


@contextmanager
def event_service(stack: Stack) -> Iterator[EventService]:
    """A write process with a webhook, its receiver, and a relay that delivers to it."""
    with FakeProvider() as receiver:
        relay = start_relay(stack, receiver.url)
        try:
            with (
                write_process(stack, **event_settings(receiver.url)) as (_, url),
                httpx.Client(base_url=url, timeout=20) as http,
            ):
                yield EventService(stack, ApiClient(http), receiver, relay)
        finally:
            receiver.release()
            relay.kill()
