"""Sign-up over HTTP."""

from datetime import UTC, datetime, timedelta

import httpx

from tests.support.client import ApiClient, sign_up_payload
from tests.support.faults import suspended


def test_sign_up_returns_a_profile_and_a_session(api: ApiClient):
    body = sign_up_payload(name="  Zoe\u0301 ", hobbies=["chess", " ", "go"])
    response = api.post("/api/v1/signup/", body)
    assert response.status_code == 201
    assert response.headers["location"] == "/api/v1/profile/"
    assert response.headers["cache-control"] == "no-store"
    assert list(response.json()) == ["id", "profile", "session"]
    assert list(response.json()["profile"].items()) == [
        ("name", "Zo\u00e9"),
        ("surname", "Lovelace"),
        ("email", body["email"]),
        ("phone", body["phone"]),
        ("hobbies", ["chess", "go"]),
        ("email_verified", False),
        ("phone_verified", False),
    ]
    session = response.json()["session"]
    assert session["token_type"] == "Bearer"
    expires_at = datetime.fromisoformat(session["expires_at"])
    assert timedelta(days=29) < expires_at - datetime.now(UTC) <= timedelta(days=30)


def test_trailing_slash_is_optional(api: ApiClient):
    response = api.post("/api/v1/signup", sign_up_payload())
    assert response.status_code == 201


def test_chunked_body_is_accepted(api: ApiClient):
    body = httpx.Request("POST", "http://x", json=sign_up_payload()).content
    response = api.http.post(
        "/api/v1/signup/",
        content=iter([body[:10], body[10:]]),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 201


def test_profile_is_readable_right_after_every_sign_up(api: ApiClient, scale: int):
    """200 sign-ups with LONG=1, else 20."""
    for _ in range(20 * scale):
        person = api.sign_up()
        response = person.profile()
        assert response.status_code == 200
        assert response.json() == person.body


def test_profile_is_readable_at_once_without_worker_and_relay(stack, api: ApiClient):
    with suspended(stack.services["worker"]), suspended(stack.services["relay"]):
        people = [api.sign_up() for _ in range(20)]
        assert [person.profile().status_code for person in people] == [200] * 20


def test_sign_up_accepts_a_known_address(
    api: ApiClient,
):
    body = sign_up_payload()
    first = api.post("/api/v1/signup/", body)
    second = api.post("/api/v1/signup/", body)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["profile"] == first.json()["profile"]


def test_both_addresses_get_a_message_with_a_code(api: ApiClient):
    person = api.sign_up()
    email, sms = person.message("email"), person.message("phone")
    assert email["code"] in email["text"]
    assert email["link"] in email["text"]
    assert person.body["name"] in email["text"]
    assert sms["text"].splitlines()[-1] == f"@rollcall.example #{sms['code']}"
    assert len(person.messages("email")) == len(person.messages("phone")) == 1


def test_response_has_the_request_id_of_the_client_if_valid(api: ApiClient):
    response = api.http.get("/livez", headers={"X-Request-ID": "balancer-12345"})
    assert response.headers["x-request-id"] == "balancer-12345"
    response = api.http.get("/livez", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert "<" not in response.headers["x-request-id"]
