"""Sign-in with a code, and sign-out."""

from concurrent.futures import ThreadPoolExecutor

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


def other_code(code: str) -> str:
    """Returns a wrong code of the same form."""
    return ("1" if code[0] == "0" else "0") + code[1:]


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
    challenge, code = person.request_code()
    assert api.sign_in(challenge, code).status_code == 201
    assert problem_code(api.sign_in(challenge, code)) == "code_invalid"


def test_concurrent_valid_codes_create_one_session(api: ApiClient, person):
    challenge, code = person.request_code()

    def attempt(_: int) -> int:
        with httpx.Client(base_url=api.http.base_url, timeout=20) as http:
            return ApiClient(http).sign_in(challenge, code).status_code

    with ThreadPoolExecutor(100) as clients:
        responses = list(clients.map(attempt, range(100)))
    assert responses.count(201) == 1
    assert set(responses) <= {201, 400, 429}


def test_valid_code_is_rejected_after_five_failed_attempts(api: ApiClient, person):
    challenge, code = person.request_code()
    for _ in range(5):
        assert problem_code(api.sign_in(challenge, other_code(code))) == "code_invalid"
    response = api.sign_in(challenge, code)
    assert problem_code(response) == "too_many_attempts"
    assert 0 < int(response.headers["retry-after"]) <= 600


def test_failed_attempts_of_others_do_not_lock_the_owner_out(api: ApiClient, person):
    """However many: their challenges have attempts of their own, and void no code."""
    challenge, code = person.request_code()
    for _ in range(6):
        strange = api.request_challenge(email=person.body["email"])
        outcomes = [problem_code(api.sign_in(strange, other_code(code))) for _ in range(6)]
        assert outcomes == ["code_invalid"] * 5 + ["too_many_attempts"]
    assert api.sign_in(challenge, code).status_code == 201


def test_code_is_long_after_fifteen_failed_attempts_at_an_address(api: ApiClient, person):
    lengths = []
    for _ in range(4):
        challenge, code = person.request_code()
        lengths.append(len(code))
        for _ in range(5):
            assert problem_code(api.sign_in(challenge, other_code(code))) == "code_invalid"
    assert lengths == [6, 6, 6, 10]
    challenge, code = person.request_code()
    typed = f" {code[:5].lower()}-{code[5:].replace('0', 'o').replace('1', 'l')} "
    assert api.sign_in(challenge, typed).status_code == 201
    other = api.sign_up(email=sign_up_payload()["email"])
    assert len(other.message("email")["code"]) == 6


def test_code_is_long_while_open_codes_to_the_address_can_be_guessed(person):
    """Guesses that are still possible count like those that were made."""
    assert [len(person.request_code()[1]) for _ in range(4)] == [6, 6, 6, 10]


def test_right_codes_do_not_count_as_failed_attempts(api: ApiClient, person):
    lengths = []
    for _ in range(8):
        challenge, code = person.request_code()
        lengths.append(len(code))
        assert api.sign_in(challenge, code).status_code == 201
    assert lengths == [6] * 8


@pytest.mark.parametrize("challenge", ["", "short", "A" * 43, "A" * 42 + "\u00e9", "=" * 43])
def test_unknown_challenge_is_rejected(api: ApiClient, challenge):
    response = api.sign_in(challenge, "123456")
    if challenge == "A" * 43:
        assert problem_code(response) == "code_invalid"
    else:
        assert field_errors(response) == {"challenge": "invalid"}


def test_known_and_unknown_addresses_get_the_same_responses(api: ApiClient, person):
    unconfirmed = api.sign_up().body["email"]
    addresses = (person.body["email"], unconfirmed, sign_up_payload()["email"])
    responses = [request_code(api, email=address) for address in addresses]
    alike = {
        (r.status_code, len(r.text), tuple(r.json()), tuple(sorted(r.headers))) for r in responses
    }
    assert len(alike) == 1
    challenges = [response.json()["challenge"] for response in responses]
    attempts = [api.sign_in(challenge, "123456") for challenge in challenges]
    assert {problem_code(response) for response in attempts} == {"code_invalid"}
    for challenge in challenges:
        codes = [problem_code(api.sign_in(challenge, "123456")) for _ in range(5)]
        assert codes == ["code_invalid"] * 4 + ["too_many_attempts"]


def test_unverified_address_gets_no_code(django_db_access, api: ApiClient):
    from domain.postgres.models import OutboxEntry

    person = api.sign_up()
    person.wait_for_outbox()
    before = OutboxEntry.objects.latest("id").id
    request_code(api, email=person.body["email"])
    row = OutboxEntry.objects.filter(id__gt=before, kind="sign_in_code")
    wait_until(lambda: row.filter(state="discarded").exists())
    assert len(person.messages("email")) == 1


def test_further_challenge_does_not_void_an_open_code(api: ApiClient, person):
    first, second = person.request_code("phone"), person.request_code("phone")
    assert first[0] != second[0]
    assert problem_code(api.sign_in(first[0], second[1])) == "code_invalid"
    assert api.sign_in(*first).status_code == 201
    assert api.sign_in(*second).status_code == 201


def test_confirmation_and_sign_in_codes_are_not_interchangeable(api: ApiClient):
    person = sign_up_confirmed(api, "email")
    confirmation_code = person.message("email")["code"]
    challenge, sign_in_code = person.request_code()
    assert problem_code(api.sign_in(challenge, confirmation_code)) == "code_invalid"
    assert problem_code(person.confirm("phone", sign_in_code)) == "code_invalid"


def test_code_is_of_no_use_once_its_address_was_replaced(api: ApiClient, person):
    challenge, code = person.request_code()
    new = sign_up_payload()["email"]
    assert person.patch({"email": new}).status_code == 200
    person.body["email"] = new
    assert person.confirm("email").status_code == 200
    assert problem_code(api.sign_in(challenge, code)) == "code_invalid"


def test_sessions_are_listed_newest_first(person):
    _, current = person.sign_in(), person.sign_in()
    sessions = current.request("GET", "sessions/").json()["sessions"]
    assert [session["current"] for session in sessions] == [True, False]
    assert list(sessions[0]) == [
        *("id", "created_at", "expires_at", "user_agent", "network", "current")
    ]
    assert sessions[0]["created_at"] >= sessions[1]["created_at"]
    assert current.token not in str(sessions)
    assert problem_code(person.api.http.get("/api/v1/sessions/")) == "invalid_token"


def test_listed_session_has_families_and_network_of_sign_in_or_last_refresh(api: ApiClient):
    def listed() -> tuple[str, str]:
        (session,) = signed_up.request("GET", "sessions/").json()["sessions"]
        return session["user_agent"], session["network"]

    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    body = sign_up_payload()
    response = api.post("/api/v1/signup/", body, **{"User-Agent": f"{firefox} {'x' * 6000}"})
    signed_up = SignedUpPerson(api, response)
    assert listed() == ("Firefox on Linux", "127.0.0.0/24")
    signed_up.request("POST", "sessions/current/refresh/", headers={"User-Agent": "x"})
    assert listed() == ("", "127.0.0.0/24")
    exported = signed_up.request("GET", "profile/export/").json()["sessions"][0]
    assert (exported["user_agent"], exported["network"]) == listed()


def test_one_session_is_revoked_by_its_id(person):
    old, current = person.sign_in(), person.sign_in()
    path = next(
        f"sessions/{session['id']}/"
        for session in current.request("GET", "sessions/").json()["sessions"]
        if not session["current"]
    )
    assert current.request("DELETE", path).status_code == 204
    assert problem_code(old.profile()) == "invalid_token"
    assert current.profile().status_code == 200
    assert len(current.request("GET", "sessions/").json()["sessions"]) == 1
    assert problem_code(current.request("DELETE", path)) == "not_found"


def test_session_of_another_person_cannot_be_revoked(api: ApiClient, person):
    other = api.sign_up()
    (session,) = other.request("GET", "sessions/").json()["sessions"]
    response = person.request("DELETE", f"sessions/{session['id']}/")
    assert (response.status_code, problem_code(response)) == (404, "not_found")
    assert other.profile().status_code == 200


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


def plant(api: ApiClient) -> SignedUpPerson:
    """Returns an account that an attacker signed up with a victim's e-mail address and an own phone
    number, which is confirmed; then the victim opened the link.
    """
    planted = api.sign_up()
    assert planted.confirm("phone").status_code == 200
    token = planted.message("email")["link"].partition("#")[2]
    assert api.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    return planted


def test_first_sign_in_revokes_sessions_from_before_confirmation(api: ApiClient):
    """Pre-hijacking: an account that was prepared for a victim loses the attacker's session."""
    planted = plant(api)
    assert planted.profile().status_code == 200
    victim = planted.sign_in("email")
    assert problem_code(planted.profile()) == "invalid_token"
    second = planted.sign_in("email")
    assert [session.profile().status_code for session in (victim, second)] == [200, 200]


def test_first_sign_in_resets_what_an_older_session_has_verified(api: ApiClient):
    planted = plant(api)
    victim = planted.sign_in("email")
    profile = victim.profile().json()
    assert (profile["email_verified"], profile["phone_verified"]) == (True, False)
    api.request_challenge(phone=planted.body["phone"])
    other = api.sign_up()
    other.message("phone")
    assert len(planted.messages("phone")) == 1, "the attacker's phone gets no sign-in code"
    # The victim's own verifications stay, whichever address they sign in with.
    phone = sign_up_payload()["phone"]
    assert victim.patch({"phone": phone}).status_code == 200
    victim.body["phone"] = phone
    assert victim.confirm("phone").status_code == 200
    for channel in ("phone", "email", "phone"):
        profile = victim.sign_in(channel).profile().json()
        assert (profile["email_verified"], profile["phone_verified"]) == (True, True)
    assert victim.profile().status_code == 401, "older than the phone number's confirmation"


def test_first_sign_in_voids_an_address_change_that_was_prepared(api: ApiClient):
    """Its link needs no session."""
    planted = plant(api)
    attackers = sign_up_payload()["email"]
    assert planted.patch({"email": attackers}).status_code == 200
    link = wait_until(lambda: api.mailbox(attackers))[0]["link"]
    wait_until(lambda: len(planted.messages("email")) == 2)  # the notice, which has no code
    victim = planted.sign_in("email")
    response = api.post("/api/v1/confirmations/email/", {"token": link.partition("#")[2]})
    assert problem_code(response) == "code_invalid"
    assert victim.profile().json()["email"] == planted.body["email"]


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
    assert field_errors(response) == {
        "challenge": "required",
        "code": "invalid",
        "email": "unknown_field",
    }
