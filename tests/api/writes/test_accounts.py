"""Account operations: update, resend, deletion, idempotent sign-up."""

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


def get_confirmations(person: SignedUpPerson) -> dict[str, dict[str, object]]:
    response = person.request("GET", "confirmations/")
    assert response.status_code == 200, response.text
    states: dict[str, dict[str, object]] = response.json()
    return states


@pytest.fixture
def person(api: ApiClient) -> SignedUpPerson:
    person = api.sign_up()
    for channel in CHANNELS:
        assert person.confirm(channel).status_code == 200
    return person


# --- PATCH ---------------------------------------------------------------------------------------


def test_update_changes_only_the_sent_fields_at_once(person):
    before = person.profile()
    response = person.patch({"name": "Grace", "hobbies": []})
    assert response.status_code == 200
    expected = before.json() | {"name": "Grace", "hobbies": []}
    assert response.json() == person.profile().json() == expected
    assert response.headers["etag"] == person.profile().headers["etag"] != before.headers["etag"]


def test_if_match_prevents_lost_updates(person):
    etag = person.profile().headers["etag"]
    assert person.patch({"name": "Grace"}, **{"If-Match": etag}).status_code == 200
    response = person.patch({"name": "Eve"}, **{"If-Match": etag})
    assert (response.status_code, problem_code(response)) == (412, "precondition_failed")
    assert person.profile().json()["name"] == "Grace"
    current = person.profile().headers["etag"]
    for value, status in (
        ("*", 200),
        (f'"other", {person.profile().headers["etag"]}', 200),
        (f"W/{current}", 412),
        ("nonsense", 412),
    ):
        assert person.patch({}, **{"If-Match": value}).status_code == status


def test_invalid_update_reports_every_field_and_writes_nothing(person):
    before = person.profile().content
    response = person.patch({"name": "", "email": "x", "phone": None, "version": 1, "surname": "B"})
    assert field_errors(response) == {
        "name": "blank",
        "email": "invalid",
        "phone": "null",
        "version": "unknown_field",
    }
    assert person.profile().content == before


@pytest.mark.parametrize("channel", CHANNELS)
def test_verified_address_is_kept_until_the_new_one_is_confirmed(person, channel):
    old, new = person.body[channel], sign_up_payload()[channel]
    before = len(person.messages(channel))
    assert person.patch({channel: new}).json()[channel] == old
    assert person.profile().json()[f"{channel}_verified"]
    pending = get_confirmations(person)[channel]["pending"]
    assert isinstance(pending, str)
    assert "…" in pending
    assert new not in pending
    wait_until(lambda: len(person.messages(channel)) == before + 1)
    assert person.message(channel)["code"] is None
    code = wait_until(lambda: person.api.mailbox(new))[0]["code"]
    assert person.confirm(channel, code).status_code == 200
    assert person.profile().json()[channel] == new
    assert get_confirmations(person)[channel]["status"] == "confirmed"


@pytest.mark.parametrize("channel", CHANNELS)
def test_unverified_address_is_replaced_at_once_with_its_code(api: ApiClient, channel):
    """A code that was sent to one address never confirms another one."""
    person = api.sign_up()
    code, new = person.message(channel)["code"], sign_up_payload()[channel]
    assert person.patch({channel: new}).json()[channel] == new
    assert problem_code(person.confirm(channel, code)) == "code_invalid"
    assert not person.profile().json()[f"{channel}_verified"]
    code = wait_until(lambda: api.mailbox(new))[0]["code"]
    assert person.confirm(channel, code).status_code == 200


def test_address_change_invalidates_the_pending_link(api: ApiClient):
    person = api.sign_up()
    token = person.message("email")["link"].partition("#")[2]
    person.patch({"email": sign_up_payload()["email"]})
    response = api.post("/api/v1/confirmations/email/", {"token": token})
    assert problem_code(response) == "code_invalid"


def test_restoring_the_address_cancels_the_change(api: ApiClient, person):
    new = sign_up_payload()["email"]
    person.patch({"email": new})
    code = wait_until(lambda: api.mailbox(new))[0]["code"]
    person.patch({"email": person.body["email"]})
    assert get_confirmations(person)["email"]["status"] == "confirmed"
    assert problem_code(person.confirm("email", code)) == "code_invalid"
    assert person.profile().json()["email"] == person.body["email"]


def test_old_address_is_released_once_the_new_one_is_confirmed(api: ApiClient, person):
    new = sign_up_payload()["phone"]
    person.patch({"phone": new})
    code = wait_until(lambda: api.mailbox(new))[0]["code"]
    assert person.confirm("phone", code).status_code == 200
    next_owner = api.sign_up(phone=person.body["phone"])
    wait_until(
        lambda: next_owner.message("phone")["code"] and len(next_owner.messages("phone")) > 1
    )
    assert next_owner.confirm("phone").status_code == 200


def test_domains_with_other_a_labels_belong_to_other_people(api: ApiClient):
    """IDNA 2003 took ß for ss, and so does case folding."""
    local = sign_up_payload()["email"].partition("@")[0]
    owner, other = (api.sign_up(email=f"{local}@{domain}") for domain in ("faß.de", "fass.de"))
    for person in (owner, other):
        assert person.message("email")["code"]
        assert person.confirm("email").status_code == 200
    assert other.patch({"email": owner.body["email"]}).json()["email"] == other.body["email"]
    for person in (owner, other):
        profile = person.profile().json()
        assert (profile["email"], profile["email_verified"]) == (person.body["email"], True)


def test_other_spelling_of_a_verified_address_needs_no_confirmation(api: ApiClient):
    local = sign_up_payload()["email"].partition("@")[0]
    person = api.sign_up(email=f"{local}@faß.de")
    assert person.confirm("email").status_code == 200
    profile = person.patch({"email": f"{local.upper()}@XN--FA-HIA.de"}).json()
    assert (profile["email"], profile["email_verified"]) == (f"{local.upper()}@faß.de", True)
    assert len(person.messages("email")) == 1


# --- resend and how it stands --------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
def test_resend_sends_a_new_code_and_supersedes_the_old_one(api: ApiClient, channel):
    person = api.sign_up()
    old = person.message(channel)["code"]
    response = person.request("POST", f"confirmations/{channel}/resend/")
    assert response.status_code == 202
    assert response.json()["resend_available_at"].endswith("Z")
    wait_until(lambda: len(person.messages(channel)) == 2)
    assert problem_code(person.confirm(channel, old)) == "code_invalid"
    assert person.confirm(channel).status_code == 200


def test_resend_for_a_confirmed_address_sends_nothing(person):
    response = person.request("POST", "confirmations/email/resend/", json={})
    assert response.status_code == 202
    assert response.json() == {"resend_available_at": None}
    assert len(person.messages("email")) == 1


def test_codes_are_long_after_fifteen_failed_attempts_across_people(api: ApiClient):
    """The limit is on guesses for an address, whichever people have signed up with it."""
    phone = sign_up_payload()["phone"]
    lengths: list[int] = []
    for _ in range(4):
        person = api.sign_up(phone=phone)
        wait_until(lambda: len(person.messages("phone")) > len(lengths))  # noqa: B023  # it is called at once
        lengths.append(len(person.message("phone")["code"]))
        codes = [problem_code(person.confirm("phone", "000000")) for _ in range(6)]
        assert codes == ["code_invalid"] * 5 + ["too_many_attempts"]
        assert get_confirmations(person)["phone"]["attempts_left"] == 0
        assert get_confirmations(person)["email"]["attempts_left"] == 5
    assert lengths == [6, 6, 6, 10]
    owner = api.sign_up(phone=phone)
    wait_until(lambda: len(owner.messages("phone")) == 5)
    assert owner.confirm("phone").status_code == 200


def test_confirmation_status_from_sign_up_to_confirmed(django_db_access, api: ApiClient):
    person = api.sign_up()
    person.wait_for_outbox()
    states = get_confirmations(person)
    assert {s["status"] for s in states.values()} == {"sent"}
    assert {s["attempts_left"] for s in states.values()} == {5}
    person.confirm("phone", "000000")
    assert get_confirmations(person)["phone"]["attempts_left"] == 4
    person.confirm("email")
    assert get_confirmations(person)["email"] == {
        "status": "confirmed",
        "resend_available_at": None,
        "attempts_left": 0,
        "pending": None,
    }


def test_account_operations_require_a_token(api: ApiClient):
    for method, path in (
        ("GET", "confirmations/"),
        ("POST", "confirmations/email/resend/"),
        ("PATCH", "profile/"),
        ("DELETE", "profile/"),
        ("DELETE", "sessions/"),
        ("DELETE", "sessions/current/"),
    ):
        content = b"{}" if method == "PATCH" else b""
        headers = {"Content-Type": "application/json"}
        url = f"/api/v1/{path}"
        response = api.http.request(method, url, content=content, headers=headers)
        assert (response.status_code, problem_code(response)) == (401, "invalid_token")


# --- leaving -------------------------------------------------------------------------------------


def test_delete_erases_all_data_and_revokes_all_tokens(django_db_access, person):
    from uuid import UUID

    from domain.postgres.models import OutboxEntry, Person, Tombstone
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    current, other = person.sign_in(), person.sign_in()
    assert current.request("DELETE", "profile/").status_code == 204
    for session in (current, other):
        assert problem_code(session.profile()) == "invalid_token"
        assert problem_code(session.patch({"name": "Eve"})) == "invalid_token"
    assert not Person.objects.filter(id=person.id).exists()
    assert Tombstone.objects.get(id=person.id).version > 1
    assert set(OutboxEntry.objects.filter(person_id=person.id).values_list("kind", flat=True)) == {
        "project_profile"
    }
    assert set(get_client().hgetall(redis_key(UUID(person.id)))) == {b"b", b"e", b"v", b"t"}


def test_late_writes_do_not_restore_a_deleted_person(django_db_access, person):
    """Neither a late worker, nor an empty Redis, nor an older write restores it."""
    from uuid import UUID

    from domain.postgres import person_queries
    from domain.profile import redis_key
    from domain.projection import writer
    from tests.support.profile_redis import get_client

    before = person_queries.get_person(UUID(person.id))
    assert before is not None
    assert person.request("DELETE", "profile/").status_code == 204
    assert not writer.write_profile(before)
    assert problem_code(person.profile()) == "invalid_token"
    get_client().delete(redis_key(UUID(person.id)))
    responses = {person.profile().status_code for _ in range(20)}
    assert responses <= {401, 503}
    assert wait_until(lambda: problem_code(person.profile()) == "invalid_token")


def test_address_of_a_deleted_person_can_be_confirmed_again(api: ApiClient, person):
    assert person.request("DELETE", "profile/").status_code == 204
    next_owner = api.sign_up(email=person.body["email"])
    wait_until(lambda: len(next_owner.messages("email")) == 2)
    assert next_owner.confirm("email").status_code == 200
    assert next_owner.profile().json()["email_verified"]


def test_delete_without_redis_is_a_503_and_completed_later(stack, person):
    stack.services["profiles"].stop()
    try:
        assert problem_code(person.request("DELETE", "profile/")) == "unavailable"
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    wait_until(lambda: person.request("DELETE", "profile/").status_code == 401)
    wait_until(lambda: person.profile().status_code == 401)


def test_sessions_are_revoked_while_redis_is_full(django_db_access, api: ApiClient, person):
    from tests.support.profile_redis import get_client

    other = api.sign_up()
    get_client().config_set("maxmemory", "1mb")
    try:
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert problem_code(person.profile()) == "invalid_token"
        assert other.profile().status_code == 200
        late = api.sign_up()
        assert late.profile().status_code == 503
    finally:
        get_client().config_set("maxmemory", "0")
    assert wait_until(lambda: late.profile().status_code == 200)


# --- the same sign-up again ----------------------------------------------------------------------


def sign_up(api: ApiClient, body: dict[str, object], key: str) -> httpx.Response:
    return api.post("/api/v1/signup/", body, **{"Idempotency-Key": key})


def test_idempotent_sign_up_returns_the_person_and_a_new_session(api: ApiClient):
    body, key = sign_up_payload(), "key-of-these-tests-" + sign_up_payload()["phone"]
    first, second = sign_up(api, body, key), sign_up(api, body, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["profile"] == second.json()["profile"]
    assert problem_code(SignedUpPerson(api, first).profile()) == "invalid_token"
    again = SignedUpPerson(api, second)
    assert again.profile().status_code == 200
    assert again.confirm("email").status_code == 200
    assert len(again.messages("email")) == 1
    assert problem_code(sign_up(api, body, key)) == "idempotency_closed"


def test_idempotency_key_with_another_body_is_rejected(api: ApiClient):
    key = "key-of-these-tests-" + sign_up_payload()["phone"]
    assert sign_up(api, sign_up_payload(), key).status_code == 201
    response = sign_up(api, sign_up_payload(), key)
    assert (response.status_code, problem_code(response)) == (422, "idempotency_mismatch")


def test_idempotency_key_has_16_to_255_visible_characters(api: ApiClient):
    for key in ("short", "x" * 256, "with a space in it all"):
        assert field_errors(sign_up(api, sign_up_payload(), key)) == {"Idempotency-Key": "invalid"}
