"""Signing up, over HTTP, on the running service."""

from datetime import UTC, datetime, timedelta

import httpx

from tests.someone import Rollcall, new_body


def test_a_new_person_gets_a_profile_and_a_session(rollcall: Rollcall):
    body = new_body(name="  Zoe\u0301 ", hobbies=["chess", " ", "go"])
    answer = rollcall.post("/api/v1/signup/", body)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/profile/"
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json()) == ["id", "profile", "session"]
    assert list(answer.json()["profile"].items()) == [
        ("name", "Zo\u00e9"),
        ("surname", "Lovelace"),
        ("email", body["email"]),
        ("phone", body["phone"]),
        ("hobbies", ["chess", "go"]),
        ("email_verified", False),
        ("phone_verified", False),
    ]
    session = answer.json()["session"]
    assert session["token_type"] == "Bearer"
    ends = datetime.fromisoformat(session["expires_at"])
    assert timedelta(days=29) < ends - datetime.now(UTC) <= timedelta(days=30)


def test_the_route_works_without_its_last_slash_too(rollcall: Rollcall):
    answer = rollcall.post("/api/v1/signup", new_body())
    assert answer.status_code == 201


def test_a_body_sent_in_chunks_is_read_like_any_other(rollcall: Rollcall):
    body = httpx.Request("POST", "http://x", json=new_body()).content
    answer = rollcall.http.post(
        "/api/v1/signup/",
        content=iter([body[:10], body[10:]]),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 201


def test_a_profile_can_be_read_at_once_every_single_time(rollcall: Rollcall, many: int):
    """200 times out of 200 with LONG=1."""
    for _ in range(20 * many):
        someone = rollcall.sign_up()
        answer = someone.profile()
        assert answer.status_code == 200
        assert answer.json() == someone.body


def test_a_profile_can_be_read_at_once_with_no_worker_and_no_relay(stack, rollcall: Rollcall):
    stack.services["worker"].stop()
    stack.services["relay"].stop()
    try:
        people = [rollcall.sign_up() for _ in range(20)]
        assert [someone.profile().status_code for someone in people] == [200] * 20
    finally:
        stack.restart("worker")
        stack.restart("relay")


def test_a_known_address_is_not_refused_because_that_would_tell_who_is_registered(
    rollcall: Rollcall,
):
    body = new_body()
    first = rollcall.post("/api/v1/signup/", body)
    second = rollcall.post("/api/v1/signup/", body)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["profile"] == first.json()["profile"]


def test_both_addresses_get_a_message_with_a_code_each(rollcall: Rollcall):
    someone = rollcall.sign_up()
    email, sms = someone.message("email"), someone.message("phone")
    assert email["code"] in email["text"]
    assert email["link"] in email["text"]
    assert someone.body["name"] in email["text"]
    assert sms["text"].splitlines()[-1] == f"@rollcall.example #{sms['code']}"
    assert len(someone.messages("email")) == len(someone.messages("phone")) == 1


def test_every_answer_names_its_request_and_takes_a_clean_id_from_the_caller(rollcall: Rollcall):
    answer = rollcall.http.get("/livez", headers={"X-Request-ID": "balancer-12345"})
    assert answer.headers["x-request-id"] == "balancer-12345"
    answer = rollcall.http.get("/livez", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert "<" not in answer.headers["x-request-id"]
