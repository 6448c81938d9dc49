"""Signing in by a code, and signing out."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.someone import (
    Rollcall,
    Someone,
    code_of,
    eventually,
    new_body,
    reading_again,
    wrong_fields,
)

CHANNELS = ["email", "phone"]


def confirmed(rollcall: Rollcall, *channels: str, **fields: str) -> Someone:
    someone = rollcall.sign_up(**fields)
    for channel in channels or CHANNELS:
        assert someone.confirm(channel).status_code == 200
    return someone


def has_messages(someone: Someone, count: int) -> bool:
    return len(someone.messages("phone")) == count


def ask(rollcall: Rollcall, **address: str) -> httpx.Response:
    return rollcall.post("/api/v1/sessions/", address)


@pytest.fixture
def someone(rollcall: Rollcall) -> Someone:
    return confirmed(rollcall)


@pytest.mark.parametrize("channel", CHANNELS)
def test_sign_in_code_creates_a_session(someone, channel):
    inside = someone.sign_in(channel)
    assert inside.token != someone.token
    assert inside.profile().json()["name"] == "Ada"
    assert inside.patch({"name": "Grace"}).status_code == 200


def test_sign_in_does_not_change_the_etag(someone):
    before = someone.profile().headers["etag"]
    assert someone.sign_in().profile().headers["etag"] == before


def test_sign_in_code_is_single_use(rollcall: Rollcall, someone):
    someone.sign_in()
    code = someone.message("email")["code"]
    again = rollcall.sign_in("email", someone.body["email"], code)
    assert code_of(again) == "code_invalid"


def test_concurrent_valid_codes_create_one_session(rollcall: Rollcall, someone):
    assert ask(rollcall, email=someone.body["email"]).status_code == 202
    eventually(lambda: "sign in" in someone.message("email")["subject"])
    code = someone.message("email")["code"]

    def try_it(_: int) -> int:
        with httpx.Client(base_url=rollcall.http.base_url, timeout=20) as http:
            return Rollcall(http).sign_in("email", someone.body["email"], code).status_code

    with ThreadPoolExecutor(100) as clients:
        answers = list(clients.map(try_it, range(100)))
    assert answers.count(201) == 1
    assert set(answers) <= {201, 400, 429}


def test_valid_code_is_rejected_after_five_failed_attempts(rollcall: Rollcall, someone):
    assert ask(rollcall, email=someone.body["email"]).status_code == 202
    eventually(lambda: "sign in" in someone.message("email")["subject"])
    code = someone.message("email")["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(5):
        answer = rollcall.sign_in("email", someone.body["email"], wrong)
        assert code_of(answer) == "code_invalid"
    answer = rollcall.sign_in("email", someone.body["email"], code)
    assert code_of(answer) == "too_many_attempts"
    assert 0 < int(answer.headers["retry-after"]) <= 600


def test_failed_sign_ins_are_limited_for_any_address(
    rollcall: Rollcall, someone
):
    """Also across new codes; and tries without any code are counted alike."""
    for address in (someone.body["email"], new_body()["email"]):
        words = []
        for _ in range(4):
            ask(rollcall, email=address)
            words += [code_of(rollcall.sign_in("email", address, "000000")) for _ in range(5)]
        assert words == ["code_invalid"] * 15 + ["too_many_attempts"] * 5


def test_known_and_unknown_addresses_get_the_same_responses(rollcall: Rollcall, someone):
    unconfirmed = rollcall.sign_up().body["email"]
    answers = [
        ask(rollcall, email=address)
        for address in (someone.body["email"], unconfirmed, new_body()["email"])
    ]
    assert len({(a.status_code, a.text, tuple(sorted(a.headers.keys()))) for a in answers}) == 1
    tries = [
        rollcall.sign_in("email", address, "123456")
        for address in (someone.body["email"], unconfirmed, new_body()["email"])
    ]
    assert {code_of(answer) for answer in tries} == {"code_invalid"}


def test_unverified_address_gets_no_code(django_here, rollcall: Rollcall):
    from domain.stores.models import Outbox

    someone = rollcall.sign_up()
    someone.settled()
    before = Outbox.objects.latest("id").id
    ask(rollcall, email=someone.body["email"])
    row = Outbox.objects.filter(id__gt=before, kind="sign-in")
    eventually(lambda: row.filter(state="dropped").exists())
    assert len(someone.messages("email")) == 1


def test_new_code_supersedes_the_previous_one(rollcall: Rollcall, someone):
    codes = []
    for number in range(2):
        ask(rollcall, phone=someone.body["phone"])
        eventually(partial(has_messages, someone, 2 + number))
        codes.append(someone.message("phone")["code"])
    assert codes[0] != codes[1]
    first = rollcall.sign_in("phone", someone.body["phone"], codes[0])
    assert code_of(first) == "code_invalid"
    assert rollcall.sign_in("phone", someone.body["phone"], codes[1]).status_code == 201


def test_confirmation_and_sign_in_codes_are_not_interchangeable(rollcall: Rollcall):
    someone = confirmed(rollcall, "email")
    ask(rollcall, email=someone.body["email"])
    eventually(lambda: len(someone.messages("email")) == 2)
    signing_in, confirming = (m["code"] for m in someone.messages("email"))
    other = rollcall.sign_in("email", someone.body["email"], confirming)
    assert code_of(other) == "code_invalid"
    assert code_of(someone.confirm("phone", signing_in)) == "code_invalid"


def test_eleventh_session_revokes_the_oldest(someone):
    sessions = [someone.sign_in() for _ in range(11)]
    assert [s.profile().status_code for s in sessions] == [401] + [200] * 10


def test_sign_out_revokes_only_the_current_session(someone):
    here, other = someone.sign_in(), someone.sign_in()
    assert here.call("DELETE", "sessions/current/").status_code == 204
    assert code_of(here.profile()) == "invalid_token"
    assert code_of(here.patch({"name": "Eve"})) == "invalid_token"
    assert other.profile().status_code == 200


def test_sign_out_everywhere_revokes_all_sessions(someone):
    here, other = someone.sign_in(), someone.sign_in()
    assert here.call("DELETE", "sessions/").status_code == 204
    assert {code_of(s.profile()) for s in (here, other)} == {"invalid_token"}
    assert code_of(here.call("DELETE", "sessions/")) == "invalid_token"


def test_sign_out_without_redis_is_a_503_and_then_completed(stack, someone):
    stack.services["profiles"].stop()
    try:
        answer = someone.call("DELETE", "sessions/current/")
        assert (answer.status_code, code_of(answer)) == (503, "unavailable")
        again = someone.call("DELETE", "sessions/current/")
        assert (again.status_code, code_of(again)) == (503, "unavailable")
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    eventually(lambda: someone.call("DELETE", "sessions/current/").status_code == 401)
    eventually(lambda: someone.profile().status_code == 401)


def test_first_sign_in_revokes_sessions_from_before_confirmation(
    rollcall: Rollcall,
):
    """Nobody plants an account for a victim to confirm: the planter's session ends."""
    planted = rollcall.sign_up()
    token = planted.message("email")["link"].partition("#")[2]
    assert rollcall.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    assert planted.profile().status_code == 200
    victim = planted.sign_in("email")
    assert code_of(planted.profile()) == "invalid_token"
    later = planted.sign_in("email")
    assert [s.profile().status_code for s in (victim, later)] == [200, 200]


def test_invalid_bodies_are_rejected_by_field(rollcall: Rollcall):
    body = new_body()
    both = {"email": body["email"], "phone": body["phone"]}
    assert wrong_fields(ask(rollcall)) == {"email": "either_email_or_phone"}
    assert wrong_fields(ask(rollcall, **both)) == {"email": "either_email_or_phone"}
    assert wrong_fields(ask(rollcall, email="nobody", name="x")) == {
        "email": "invalid",
        "name": "unknown_field",
    }
    answer = rollcall.post("/api/v1/sessions/confirm/", {"email": body["email"], "code": "12"})
    assert wrong_fields(answer) == {"code": "invalid"}
