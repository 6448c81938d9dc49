"""Near copies: what changes or ends something is answered once no copy of before is in use."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx

from local.stack import Stack
from tests.someone import Rollcall, Someone, new_body, service_beside

AGE = 0.5  # seconds; longer than in life, so that the wait stands out
type Call = Callable[[], httpx.Response]


def sign_out_again(someone: Someone) -> Call:
    someone.call("DELETE", "sessions/")
    return lambda: someone.call("DELETE", "sessions/")


def sign_up_again(someone: Someone) -> Call:
    def call() -> httpx.Response:
        return someone.rollcall.post("/api/v1/signup/", body, **{"Idempotency-Key": key})

    key, body = uuid4().hex, new_body()
    call()
    return call


def confirm(someone: Someone) -> Call:
    code = someone.message("email")["code"]
    return lambda: someone.confirm("email", code)


# Each made ready; the status of its answer, and that of a read after it.
CALLS: dict[str, tuple[Callable[[Someone], Call], int, int]] = {
    "change": (lambda it: lambda: it.patch({"name": "Grace"}), 200, 200),
    "leave": (lambda it: lambda: it.call("DELETE", "profile/"), 204, 401),
    "sign out": (lambda it: lambda: it.call("DELETE", "sessions/current/"), 204, 401),
    "sign out everywhere": (lambda it: lambda: it.call("DELETE", "sessions/"), 204, 401),
    "sign out again, which tells that it is done": (sign_out_again, 401, 401),
    "confirm": (confirm, 200, 200),
    "sign up again, which replaces the session": (sign_up_again, 201, 200),
}


def test_changes_and_revocations_wait_for_max_staleness(stack: Stack):
    with (
        service_beside(stack, CLIENT_CACHE_MAX_STALENESS=str(AGE)) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        rollcall = Rollcall(client)
        began = time.monotonic()
        people = [rollcall.sign_up() for _ in CALLS]
        assert time.monotonic() - began < AGE * len(CALLS), "nobody has a copy of somebody new"

        def call(name: str, someone: Someone) -> tuple[str, int, bool, int]:
            late = CALLS[name][0](someone)
            for _ in range(10):
                someone.profile()
            began = time.monotonic()
            status = late().status_code
            waited = time.monotonic() - began >= AGE
            return name, status, waited, someone.profile().status_code

        with ThreadPoolExecutor(len(CALLS)) as pool:
            assert list(pool.map(call, CALLS, people)) == [
                (name, status, True, after) for name, (_, status, after) in CALLS.items()
            ]
