"""Sign-in with a code, and sign-out."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    field_errors,
    problem_code,
    sign_up_payload,
    wait_until,
    wait_until_readable,
)

CHANNELS = ["email", "phone"]


def sign_up_confirmed(api: ApiClient, *channels: str, **fields: str) -> SignedUpPerson:
    person = api.sign_up(**fields)
    for channel in channels or CHANNELS:
        assert person.confirm(channel).status_code == 200
    return person


def has_messages(person: SignedUpPerson, count: int) -> bool:
    return len(person.messages("phone")) == count


def request_code(api: ApiClient, **address: str) -> httpx.Response:
    return api.post("/api/v1/sessions/", address)


@pytest.fixture
def person(api: ApiClient) -> SignedUpPerson:
    return sign_up_confirmed(api)


@pytest.mark.parametrize("channel", CHANNELS)
def test_sign_in_code_creates_a_session(person, channel):
    current = person.sign_in(channel)
    assert current.token != person.token
    assert current.profile().json()["name"] == "Ada"
    assert current.patch({"name": "Grace"}).status_code == 200


def test_sign_in_does_not_change_the_etag(person):
    before = person.profile().headers["etag"]
    assert person.sign_in().profile().headers["etag"] == before


def test_sign_in_code_is_single_use(api: ApiClient, person):
    person.sign_in()
    code = person.message("email")["code"]
    again = api.sign_in("email", person.body["email"], code)
    assert problem_code(again) == "code_invalid"


def test_concurrent_valid_codes_create_one_session(api: ApiClient, person):
    assert request_code(api, email=person.body["email"]).status_code == 202
    wait_until(lambda: "sign in" in person.message("email")["subject"])
    code = person.message("email")["code"]

    def attempt(_: int) -> int:
        with httpx.Client(base_url=api.http.base_url, timeout=20) as http:
            return ApiClient(http).sign_in("email", person.body["email"], code).status_code

    with ThreadPoolExecutor(100) as clients:
        responses = list(clients.map(attempt, range(100)))
    assert responses.count(201) == 1
    assert set(responses) <= {201, 400, 429}


def test_valid_code_is_rejected_after_five_failed_attempts(api: ApiClient, person):
    assert request_code(api, email=person.body["email"]).status_code == 202
    wait_until(lambda: "sign in" in person.message("email")["subject"])
    code = person.message("email")["code"]
    invalid = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(5):
        response = api.sign_in("email", person.body["email"], invalid)
        assert problem_code(response) == "code_invalid"
    response = api.sign_in("email", person.body["email"], code)
    assert problem_code(response) == "too_many_attempts"
    assert 0 < int(response.headers["retry-after"]) <= 600


def test_failed_sign_ins_are_limited_for_any_address(api: ApiClient, person):
    """Across codes; attempts without a code count alike."""
    for address in (person.body["email"], sign_up_payload()["email"]):
        codes = []
        for _ in range(4):
            request_code(api, email=address)
            codes += [problem_code(api.sign_in("email", address, "000000")) for _ in range(5)]
        assert codes == ["code_invalid"] * 15 + ["too_many_attempts"] * 5


def test_known_and_unknown_addresses_get_the_same_responses(api: ApiClient, person):
    unconfirmed = api.sign_up().body["email"]
    responses = [
        request_code(api, email=address)
        for address in (person.body["email"], unconfirmed, sign_up_payload()["email"])
    ]
    assert (
        len(
            {
                (each.status_code, each.text, tuple(sorted(each.headers.keys())))
                for each in responses
            }
        )
        == 1
    )
    tries = [
        api.sign_in("email", address, "123456")
        for address in (person.body["email"], unconfirmed, sign_up_payload()["email"])
    ]
    assert {problem_code(response) for response in tries} == {"code_invalid"}


def test_unverified_address_gets_no_code(django_db_access, api: ApiClient):
    from domain.postgres.models import OutboxEntry

    person = api.sign_up()
    person.wait_for_outbox()
    before = OutboxEntry.objects.latest("id").id
    request_code(api, email=person.body["email"])
    row = OutboxEntry.objects.filter(id__gt=before, kind="sign_in_code")
    wait_until(lambda: row.filter(state="discarded").exists())
    assert len(person.messages("email")) == 1


def test_new_code_supersedes_the_previous_one(api: ApiClient, person):
    codes = []
    for number in range(2):
        request_code(api, phone=person.body["phone"])
        wait_until(partial(has_messages, person, 2 + number))
        codes.append(person.message("phone")["code"])
    assert codes[0] != codes[1]
    response = api.sign_in("phone", person.body["phone"], codes[0])
    assert problem_code(response) == "code_invalid"
    assert api.sign_in("phone", person.body["phone"], codes[1]).status_code == 201


def test_confirmation_and_sign_in_codes_are_not_interchangeable(api: ApiClient):
    person = sign_up_confirmed(api, "email")
    request_code(api, email=person.body["email"])
    wait_until(lambda: len(person.messages("email")) == 2)
    sign_in_code, confirmation_code = (m["code"] for m in person.messages("email"))
    other = api.sign_in("email", person.body["email"], confirmation_code)
    assert problem_code(other) == "code_invalid"
    assert problem_code(person.confirm("phone", sign_in_code)) == "code_invalid"


def test_eleventh_session_revokes_the_oldest(person):
    sessions = [person.sign_in() for _ in range(11)]
    assert [session.profile().status_code for session in sessions] == [401] + [200] * 10


def test_sign_out_revokes_only_the_current_session(person):
    current, other = person.sign_in(), person.sign_in()
    assert current.request("DELETE", "sessions/current/").status_code == 204
    assert problem_code(current.profile()) == "invalid_token"
    assert problem_code(current.patch({"name": "Eve"})) == "invalid_token"
    assert other.profile().status_code == 200


def test_sign_out_everywhere_revokes_all_sessions(person):
    current, other = person.sign_in(), person.sign_in()
    assert current.request("DELETE", "sessions/").status_code == 204
    assert {problem_code(session.profile()) for session in (current, other)} == {"invalid_token"}
    assert problem_code(current.request("DELETE", "sessions/")) == "invalid_token"


def test_sign_out_without_redis_is_a_503_and_then_completed(stack, person):
    stack.services["profiles"].stop()
    try:
        response = person.request("DELETE", "sessions/current/")
        assert (response.status_code, problem_code(response)) == (503, "unavailable")
        again = person.request("DELETE", "sessions/current/")
        assert (again.status_code, problem_code(again)) == (503, "unavailable")
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    wait_until(lambda: person.request("DELETE", "sessions/current/").status_code == 401)
    wait_until(lambda: person.profile().status_code == 401)


def test_first_sign_in_revokes_sessions_from_before_confirmation(
    api: ApiClient,
):
    """Pre-hijacking: an account that was prepared for a victim loses the attacker's session."""
    attacker_session = api.sign_up()
    token = attacker_session.message("email")["link"].partition("#")[2]
    assert api.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    assert attacker_session.profile().status_code == 200
    victim = attacker_session.sign_in("email")
    assert problem_code(attacker_session.profile()) == "invalid_token"
    second = attacker_session.sign_in("email")
    assert [session.profile().status_code for session in (victim, second)] == [200, 200]


def test_invalid_bodies_are_rejected_by_field(api: ApiClient):
    body = sign_up_payload()
    channels = {"email": body["email"], "phone": body["phone"]}
    assert field_errors(request_code(api)) == {"email": "exactly_one_of"}
    assert field_errors(request_code(api, **channels)) == {"email": "exactly_one_of"}
    assert field_errors(request_code(api, email="nobody", name="x")) == {
        "email": "invalid",
        "name": "unknown_field",
    }
    response = api.post("/api/v1/sessions/confirm/", {"email": body["email"], "code": "12"})
    assert field_errors(response) == {"code": "invalid"}
