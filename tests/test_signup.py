"""Signing up, over HTTP, on the running service."""

from datetime import UTC, datetime, timedelta

import httpx

from tests.someone import Rollcall, new_body


def test_sign_up_returns_a_profile_and_a_session(rollcall: Rollcall):
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


def test_trailing_slash_is_optional(rollcall: Rollcall):
    answer = rollcall.post("/api/v1/signup", new_body())
    assert answer.status_code == 201


def test_chunked_body_is_accepted(rollcall: Rollcall):
    body = httpx.Request("POST", "http://x", json=new_body()).content
    answer = rollcall.http.post(
        "/api/v1/signup/",
        content=iter([body[:10], body[10:]]),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 201


def test_profile_is_readable_right_after_every_sign_up(rollcall: Rollcall, many: int):
    """200 times out of 200 with LONG=1."""
    for _ in range(20 * many):
        someone = rollcall.sign_up()
        answer = someone.profile()
        assert answer.status_code == 200
        assert answer.json() == someone.body


def test_profile_is_readable_at_once_without_worker_and_relay(stack, rollcall: Rollcall):
    stack.services["worker"].stop()
    stack.services["relay"].stop()
    try:
        people = [rollcall.sign_up() for _ in range(20)]
        assert [someone.profile().status_code for someone in people] == [200] * 20
    finally:
        stack.restart("worker")
        stack.restart("relay")


def test_sign_up_accepts_a_known_address(
    rollcall: Rollcall,
):
    body = new_body()
    first = rollcall.post("/api/v1/signup/", body)
    second = rollcall.post("/api/v1/signup/", body)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["profile"] == first.json()["profile"]


def test_both_addresses_get_a_message_with_a_code(rollcall: Rollcall):
    someone = rollcall.sign_up()
    email, sms = someone.message("email"), someone.message("phone")
    assert email["code"] in email["text"]
    assert email["link"] in email["text"]
    assert someone.body["name"] in email["text"]
    assert sms["text"].splitlines()[-1] == f"@rollcall.example #{sms['code']}"
    assert len(someone.messages("email")) == len(someone.messages("phone")) == 1


def test_response_has_the_request_id_of_the_client_if_valid(rollcall: Rollcall):
    answer = rollcall.http.get("/livez", headers={"X-Request-ID": "balancer-12345"})
    assert answer.headers["x-request-id"] == "balancer-12345"
    answer = rollcall.http.get("/livez", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert "<" not in answer.headers["x-request-id"]
