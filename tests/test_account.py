"""What people do to their own account: change it, ask for messages again, and leave."""

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


def confirmations(someone: Someone) -> dict[str, dict[str, object]]:
    answer = someone.call("GET", "confirmations/")
    assert answer.status_code == 200, answer.text
    states: dict[str, dict[str, object]] = answer.json()
    return states


@pytest.fixture
def someone(rollcall: Rollcall) -> Someone:
    someone = rollcall.sign_up()
    for channel in CHANNELS:
        assert someone.confirm(channel).status_code == 200
    return someone


# --- PATCH ---------------------------------------------------------------------------------------


def test_update_changes_only_the_sent_fields_at_once(someone):
    before = someone.profile()
    answer = someone.patch({"name": "Grace", "hobbies": []})
    assert answer.status_code == 200
    expected = before.json() | {"name": "Grace", "hobbies": []}
    assert answer.json() == someone.profile().json() == expected
    assert answer.headers["etag"] == someone.profile().headers["etag"] != before.headers["etag"]


def test_if_match_prevents_lost_updates(someone):
    etag = someone.profile().headers["etag"]
    assert someone.patch({"name": "Grace"}, **{"If-Match": etag}).status_code == 200
    answer = someone.patch({"name": "Eve"}, **{"If-Match": etag})
    assert (answer.status_code, code_of(answer)) == (412, "precondition_failed")
    assert someone.profile().json()["name"] == "Grace"
    now = someone.profile().headers["etag"]
    for value, status in (
        ("*", 200),
        (f'"other", {someone.profile().headers["etag"]}', 200),
        (f"W/{now}", 412),
        ("nonsense", 412),
    ):
        assert someone.patch({}, **{"If-Match": value}).status_code == status


def test_invalid_update_reports_every_field_and_writes_nothing(someone):
    before = someone.profile().content
    answer = someone.patch({"name": "", "email": "x", "phone": None, "version": 1, "surname": "B"})
    assert wrong_fields(answer) == {
        "name": "blank",
        "email": "invalid",
        "phone": "null",
        "version": "unknown_field",
    }
    assert someone.profile().content == before


@pytest.mark.parametrize("channel", CHANNELS)
def test_verified_address_is_kept_until_the_new_one_is_confirmed(someone, channel):
    old, new = someone.body[channel], new_body()[channel]
    before = len(someone.messages(channel))
    assert someone.patch({channel: new}).json()[channel] == old
    assert someone.profile().json()[f"{channel}_verified"]
    pending = confirmations(someone)[channel]["pending"]
    assert isinstance(pending, str)
    assert "…" in pending
    assert new not in pending
    eventually(lambda: len(someone.messages(channel)) == before + 1)
    assert someone.message(channel)["code"] is None
    code = eventually(lambda: someone.rollcall.mailbox(new))[0]["code"]
    assert someone.confirm(channel, code).status_code == 200
    assert someone.profile().json()[channel] == new
    assert confirmations(someone)[channel]["status"] == "confirmed"


@pytest.mark.parametrize("channel", CHANNELS)
def test_unverified_address_is_replaced_at_once_with_its_code(
    rollcall: Rollcall, channel
):
    """A code that was sent to my address never confirms another one."""
    someone = rollcall.sign_up()
    code, new = someone.message(channel)["code"], new_body()[channel]
    assert someone.patch({channel: new}).json()[channel] == new
    assert code_of(someone.confirm(channel, code)) == "code_invalid"
    assert not someone.profile().json()[f"{channel}_verified"]
    code = eventually(lambda: rollcall.mailbox(new))[0]["code"]
    assert someone.confirm(channel, code).status_code == 200


def test_address_change_invalidates_the_pending_link(rollcall: Rollcall):
    someone = rollcall.sign_up()
    token = someone.message("email")["link"].partition("#")[2]
    someone.patch({"email": new_body()["email"]})
    answer = rollcall.post("/api/v1/confirmations/email/", {"token": token})
    assert code_of(answer) == "code_invalid"


def test_restoring_the_address_cancels_the_change(rollcall: Rollcall, someone):
    new = new_body()["email"]
    someone.patch({"email": new})
    code = eventually(lambda: rollcall.mailbox(new))[0]["code"]
    someone.patch({"email": someone.body["email"]})
    assert confirmations(someone)["email"]["status"] == "confirmed"
    assert code_of(someone.confirm("email", code)) == "code_invalid"
    assert someone.profile().json()["email"] == someone.body["email"]


def test_old_address_is_released_once_the_new_one_is_confirmed(rollcall: Rollcall, someone):
    new = new_body()["phone"]
    someone.patch({"phone": new})
    code = eventually(lambda: rollcall.mailbox(new))[0]["code"]
    assert someone.confirm("phone", code).status_code == 200
    heir = rollcall.sign_up(phone=someone.body["phone"])
    eventually(lambda: heir.message("phone")["code"] and len(heir.messages("phone")) > 1)
    assert heir.confirm("phone").status_code == 200


# --- resend and how it stands --------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
def test_resend_sends_a_new_code_and_supersedes_the_old_one(rollcall: Rollcall, channel):
    someone = rollcall.sign_up()
    old = someone.message(channel)["code"]
    answer = someone.call("POST", f"confirmations/{channel}/resend/")
    assert answer.status_code == 202
    assert answer.json()["resend_available_at"].endswith("Z")
    eventually(lambda: len(someone.messages(channel)) == 2)
    assert code_of(someone.confirm(channel, old)) == "code_invalid"
    assert someone.confirm(channel).status_code == 200


def test_resend_for_a_confirmed_address_sends_nothing(someone):
    answer = someone.call("POST", "confirmations/email/resend/", json={})
    assert answer.status_code == 202
    assert answer.json() == {"resend_available_at": None}
    assert len(someone.messages("email")) == 1


def test_failed_attempts_per_day_are_limited_across_resends(rollcall: Rollcall):
    someone = rollcall.sign_up()
    words = []
    for _ in range(4):
        words += [code_of(someone.confirm("phone", "000000")) for _ in range(5)]
        assert someone.call("POST", "confirmations/phone/resend/").status_code == 202
    assert words == ["code_invalid"] * 15 + ["too_many_attempts"] * 5
    assert confirmations(someone)["phone"]["attempts_left"] == 0
    assert confirmations(someone)["email"]["attempts_left"] == 5


def test_confirmation_status_from_sign_up_to_confirmed(django_here, rollcall: Rollcall):
    someone = rollcall.sign_up()
    someone.settled()
    states = confirmations(someone)
    assert {s["status"] for s in states.values()} == {"sent"}
    assert {s["attempts_left"] for s in states.values()} == {5}
    someone.confirm("phone", "000000")
    assert confirmations(someone)["phone"]["attempts_left"] == 4
    someone.confirm("email")
    assert confirmations(someone)["email"] == {
        "status": "confirmed",
        "resend_available_at": None,
        "attempts_left": 0,
        "pending": None,
    }


def test_account_operations_require_a_token(rollcall: Rollcall):
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
        answer = rollcall.http.request(method, url, content=content, headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, "invalid_token")


# --- leaving -------------------------------------------------------------------------------------


def test_delete_erases_all_data_and_revokes_all_tokens(django_here, someone):
    from uuid import UUID

    from domain.profile import key_of
    from domain.stores.models import Gone, Outbox, Person
    from domain.stores.profiles import redis

    here, other = someone.sign_in(), someone.sign_in()
    assert here.call("DELETE", "profile/").status_code == 204
    for session in (here, other):
        assert code_of(session.profile()) == "invalid_token"
        assert code_of(session.patch({"name": "Eve"})) == "invalid_token"
    assert not Person.objects.filter(id=someone.id).exists()
    assert Gone.objects.get(id=someone.id).version > 1
    assert set(Outbox.objects.filter(person_id=someone.id).values_list("kind", flat=True)) == {
        "profile"
    }
    assert set(redis().hgetall(key_of(UUID(someone.id)))) == {b"b", b"e", b"v", b"t"}


def test_late_writes_do_not_restore_a_deleted_person(django_here, someone):
    """Not a late worker, not an empty Redis, not a write of the state before."""
    from uuid import UUID

    from domain.profile import key_of
    from domain.stores import people, profiles

    before = people.load(UUID(someone.id))
    assert before is not None
    assert someone.call("DELETE", "profile/").status_code == 204
    assert not profiles.publish(before)
    assert code_of(someone.profile()) == "invalid_token"
    profiles.redis().delete(key_of(UUID(someone.id)))
    answers = {someone.profile().status_code for _ in range(20)}
    assert answers <= {401, 503}
    assert eventually(lambda: code_of(someone.profile()) == "invalid_token")


def test_address_of_a_deleted_person_can_be_confirmed_again(rollcall: Rollcall, someone):
    assert someone.call("DELETE", "profile/").status_code == 204
    heir = rollcall.sign_up(email=someone.body["email"])
    eventually(lambda: len(heir.messages("email")) == 2)
    assert heir.confirm("email").status_code == 200
    assert heir.profile().json()["email_verified"]


def test_delete_without_redis_is_a_503_and_completed_later(stack, someone):
    stack.services["profiles"].stop()
    try:
        assert code_of(someone.call("DELETE", "profile/")) == "unavailable"
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    eventually(lambda: someone.call("DELETE", "profile/").status_code == 401)
    eventually(lambda: someone.profile().status_code == 401)


def test_sessions_are_revoked_while_redis_is_full(django_here, rollcall: Rollcall, someone):
    from domain.stores.profiles import redis

    other = rollcall.sign_up()
    redis().config_set("maxmemory", "1mb")
    try:
        assert someone.call("DELETE", "sessions/current/").status_code == 204
        assert code_of(someone.profile()) == "invalid_token"
        assert other.profile().status_code == 200
        late = rollcall.sign_up()
        assert late.profile().status_code == 503
    finally:
        redis().config_set("maxmemory", "0")
    assert eventually(lambda: late.profile().status_code == 200)


# --- the same sign-up again ----------------------------------------------------------------------


def sign_up(rollcall: Rollcall, body: dict[str, object], key: str) -> httpx.Response:
    return rollcall.post("/api/v1/signup/", body, **{"Idempotency-Key": key})


def test_idempotent_sign_up_returns_the_person_and_a_new_session(rollcall: Rollcall):
    body, key = new_body(), "key-of-these-tests-" + new_body()["phone"]
    first, second = sign_up(rollcall, body, key), sign_up(rollcall, body, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["profile"] == second.json()["profile"]
    assert code_of(Someone(rollcall, first).profile()) == "invalid_token"
    again = Someone(rollcall, second)
    assert again.profile().status_code == 200
    assert again.confirm("email").status_code == 200
    assert len(again.messages("email")) == 1
    assert code_of(sign_up(rollcall, body, key)) == "idempotency_closed"


def test_idempotency_key_with_another_body_is_rejected(rollcall: Rollcall):
    key = "key-of-these-tests-" + new_body()["phone"]
    assert sign_up(rollcall, new_body(), key).status_code == 201
    answer = sign_up(rollcall, new_body(), key)
    assert (answer.status_code, code_of(answer)) == (422, "idempotency_mismatch")


def test_idempotency_key_has_16_to_255_visible_characters(rollcall: Rollcall):
    for key in ("short", "x" * 256, "with a space in it all"):
        assert wrong_fields(sign_up(rollcall, new_body(), key)) == {"Idempotency-Key": "invalid"}
