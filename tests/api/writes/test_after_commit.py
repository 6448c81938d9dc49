"""The client-side cache: changes and revocations respond after its maximum staleness."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx

from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, extra_service, sign_up_payload

MAX_STALENESS = 0.5  # seconds; longer than in production, so that the wait is measurable
type Call = Callable[[], httpx.Response]


def sign_out_again(person: SignedUpPerson) -> Call:
    person.request("DELETE", "sessions/")
    return lambda: person.request("DELETE", "sessions/")


def sign_up_again(person: SignedUpPerson) -> Call:
    def call() -> httpx.Response:
        return person.api.post("/api/v1/signup/", body, **{"Idempotency-Key": key})

    key, body = uuid4().hex, sign_up_payload()
    call()
    return call


def confirm(person: SignedUpPerson) -> Call:
    code = person.message("email")["code"]
    return lambda: person.confirm("email", code)


# Each call with its preparation, its status, and that of a read after it.
CALLS: dict[str, tuple[Callable[[SignedUpPerson], Call], int, int]] = {
    "change": (lambda call: lambda: call.patch({"name": "Grace"}), 200, 200),
    "leave": (lambda call: lambda: call.request("DELETE", "profile/"), 204, 401),
    "sign out": (lambda call: lambda: call.request("DELETE", "sessions/current/"), 204, 401),
    "sign out everywhere": (lambda call: lambda: call.request("DELETE", "sessions/"), 204, 401),
    "sign out again, which shows that it is done": (sign_out_again, 401, 401),
    "confirm": (confirm, 200, 200),
    "sign up again, which replaces the session": (sign_up_again, 201, 200),
}


def test_changes_and_revocations_wait_for_max_staleness(stack: Stack):
    with (
        extra_service(stack, CLIENT_CACHE_MAX_STALENESS=str(MAX_STALENESS)) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        api = ApiClient(client)
        started_at = time.monotonic()
        people = [api.sign_up() for _ in CALLS]
        assert time.monotonic() - started_at < MAX_STALENESS * len(CALLS), (
            "no reader has a new person in its cache"
        )

        def call(name: str, person: SignedUpPerson) -> tuple[str, int, bool, int]:
            slow = CALLS[name][0](person)
            for _ in range(10):
                person.profile()
            started_at = time.monotonic()
            status = slow().status_code
            waits = time.monotonic() - started_at >= MAX_STALENESS
            return name, status, waits, person.profile().status_code

        with ThreadPoolExecutor(len(CALLS)) as pool:
            assert list(pool.map(call, CALLS, people)) == [
                (name, status, True, after) for name, (_, status, after) in CALLS.items()
            ]
