"""A hundred clients at once, 10 without LONG=1: what they race for happens once, without a 500."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import LONG
from tests.someone import Rollcall, Someone, code_of, eventually, new_body

CLIENTS = 100 if LONG else 10


@pytest.fixture
def at_once(stack) -> Callable[..., list[httpx.Response]]:
    """Calls `what(client, number)` in as many threads at once, each with a connection."""

    def run(what: Callable[[httpx.Client, int], httpx.Response]) -> list[httpx.Response]:
        start = threading.Barrier(CLIENTS)

        def one(number: int) -> httpx.Response:
            with httpx.Client(base_url=stack.url, timeout=30) as http:
                http.get("/livez")  # connected before the start
                start.wait()
                return what(http, number)

        with ThreadPoolExecutor(CLIENTS) as threads:
            return list(threads.map(one, range(CLIENTS)))

    return run


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def confirm(someone: Someone, channel: str, code: str) -> Callable[..., httpx.Response]:
    path, body = f"/api/v1/confirmations/{channel}/", {"code": code}
    return lambda http, _: http.post(path, json=body, headers=someone.bearer)


def test_concurrent_valid_codes_have_one_effect(django_here, rollcall: Rollcall, at_once):
    from domain.stores.models import Outbox, Person

    someone = rollcall.sign_up()
    someone.settled()
    rows = Outbox.objects.filter(person_id=someone.id, kind="profile")
    before = rows.count()
    answers = statuses(at_once(confirm(someone, "phone", someone.message("phone")["code"])))
    # A try is counted before it is looked at, so those beyond the fifth may be told to wait.
    assert answers[200] >= 1
    assert set(answers) <= {200, 429}
    assert Person.objects.get(id=someone.id).version == 2
    assert rows.count() == before + 1


def test_concurrent_invalid_codes_respect_the_attempt_limits(rollcall: Rollcall, at_once):
    someone = rollcall.sign_up()
    looked_at = []
    for _ in range(4):
        answers = statuses(at_once(confirm(someone, "email", "000000")))
        assert set(answers) <= {400, 429}
        looked_at.append(answers[400])
        assert someone.call("POST", "confirmations/email/resend/").status_code == 202
    assert looked_at == [5, 5, 5, 0]


def test_one_of_two_concurrent_confirmations_gets_the_address(
    django_here, rollcall: Rollcall, at_once
):
    from domain.stores.models import Person

    body = new_body()
    both = [rollcall.sign_up(**body) for _ in range(2)]
    eventually(lambda: len(rollcall.mailbox(body["phone"])) == 2)
    codes = {m["code"] for m in rollcall.mailbox(body["phone"])}
    # Whose code is whose is not told by a text message, so each tries both.
    tries = list(itertools.product(both, codes))

    def try_it(http: httpx.Client, number: int) -> httpx.Response:
        someone, code = tries[number % 4]
        return confirm(someone, "phone", code)(http, number)

    answers = statuses(at_once(try_it))
    assert set(answers) <= {200, 400, 429}
    assert answers[200] >= 1
    owners = Person.objects.filter(phone=body["phone"], phone_verified_at__isnull=False)
    assert owners.count() == 1
    assert [s.profile().json()["phone_verified"] for s in both].count(True) == 1


def test_no_read_succeeds_after_the_sign_out_response(stack, rollcall: Rollcall):
    """Readers have kept connections to every web process, and read all the time."""
    someone = rollcall.sign_up()
    over = threading.Event()
    late: list[int] = []
    reads = itertools.count()

    def read_on() -> None:
        with httpx.Client(base_url=stack.url, timeout=30, headers=someone.bearer) as http:
            while True:
                was_over = over.is_set()
                answer = http.get("/api/v1/profile/")
                next(reads)
                if was_over:
                    late.append(answer.status_code)
                    return

    with ThreadPoolExecutor(20) as threads:
        readers = [threads.submit(read_on) for _ in range(20)]
        eventually(lambda: next(reads) > 100)
        assert someone.call("DELETE", "sessions/current/").status_code == 204
        over.set()
        for reader in readers:
            reader.result()
    assert late == [401] * 20


def test_deleted_profile_stays_deleted_during_concurrent_updates(
    django_here, rollcall: Rollcall, at_once
):
    from domain.stores.models import Gone, Person

    someone = rollcall.sign_up()

    def act(http: httpx.Client, number: int) -> httpx.Response:
        if number == CLIENTS // 2:
            return http.delete("/api/v1/profile/", headers=someone.bearer)
        fields: dict[str, Any] = {"name": f"Ada {number}"}
        return http.patch("/api/v1/profile/", json=fields, headers=someone.bearer)

    answers = at_once(act)
    assert answers[CLIENTS // 2].status_code == 204
    assert set(statuses(answers)) <= {200, 204, 401}
    assert Gone.objects.filter(id=someone.id).exists()
    assert not Person.objects.filter(id=someone.id).exists()
    assert code_of(someone.profile()) == "invalid_token"


def test_concurrent_requests_with_one_idempotency_key_create_once(django_here, rollcall: Rollcall, at_once):
    from domain.stores.models import Person

    body = new_body()
    headers = {"Idempotency-Key": f"a-hundred-at-once-{body['phone']}"}
    answers = at_once(lambda http, _: http.post("/api/v1/signup/", json=body, headers=headers))
    assert set(statuses(answers)) <= {201, 409}
    assert {code_of(a) for a in answers if a.status_code == 409} <= {"idempotency_in_progress"}
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1
    assert Person.objects.filter(phone=body["phone"]).count() == 1
    again = rollcall.post("/api/v1/signup/", body, **headers)
    assert Someone(rollcall, again).profile().status_code == 200
