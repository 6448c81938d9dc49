"""What becomes an event, and what receivers get."""

import hmac
import json
import shutil
import subprocess
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support import fake_provider
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.events import KEY, NEXT_KEY, EventService, encode_secret, start_relay
from tests.support.fake_provider import Request

ROOT = Path(__file__).resolve().parents[3]


def find_events(person_id: UUID | str) -> list[tuple[str, int, UUID | None]]:
    """Returns kind, version and session of a person's events, in the order of ids."""
    from domain.postgres.models import Event

    rows = Event.objects.filter(person_id=person_id).order_by("id")
    return list(rows.values_list("kind", "version", "session_id"))


def session_ids(person: SignedUpPerson) -> list[str]:
    """Returns the ids of the person's sessions, newest first."""
    sessions: list[dict[str, Any]] = person.request("GET", "sessions/").json()["sessions"]
    return [each["id"] for each in sessions]


def is_signed_by(request: Request, key: bytes) -> bool:
    """Verifies a request as a receiver with one secret does (Standard Webhooks)."""
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = f"v1,{b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
    return expected in headers["webhook-signature"].split()


def test_sign_up_is_posted_with_ids_and_no_personal_data(service: EventService):
    person = service.api.sign_up()
    (event,) = service.received(person, 1)
    assert event["type"] == "person.created"
    assert event["data"] == {"person_id": person.id, "version": 1}
    assert datetime.fromisoformat(event["timestamp"]).utcoffset() == timedelta(0)


def test_repeated_event_has_the_same_id_and_a_signature_of_each_secret(service: EventService):
    service.receiver.queue_responses(fake_provider.status(500))
    person = service.api.sign_up()
    service.received(person, 2)
    first, second = service.requests_about(person)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for request in (first, second):
        assert is_signed_by(request, KEY)
        assert is_signed_by(request, NEXT_KEY)
        assert not is_signed_by(request, b"the key of another receiver")
        assert abs(int(request.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60


def test_each_change_of_a_person_is_an_event_in_its_order(service: EventService):
    person = service.api.sign_up()
    (first_session,) = session_ids(person)
    assert person.confirm("phone").status_code == 200
    assert person.confirm("email").status_code == 200
    assert person.patch({"name": "Grace"}).status_code == 200
    assert person.patch({"name": "Grace"}).status_code == 200, "which changes nothing"
    new_email = sign_up_payload()["email"]
    assert person.patch({"email": new_email}).status_code == 200, "which only prepares it"
    code = wait_until(lambda: service.api.mailbox(new_email))[0]["code"]
    assert person.confirm("email", code).status_code == 200
    person.body["email"] = new_email
    second = person.sign_in()  # the first one by this address: it ends the older session
    (second_session,) = session_ids(second)
    assert second.request("DELETE", "sessions/current/").status_code == 204
    third = person.sign_in()
    assert third.request("DELETE", "profile/").status_code == 204
    events = service.received(person, 8)
    assert [(each["type"], each["data"].get("session_id")) for each in events] == [
        ("person.created", None),
        ("phone.confirmed", None),
        ("email.confirmed", None),
        ("profile.changed", None),
        ("email.confirmed", None),
        ("session.revoked", first_session),
        ("session.revoked", second_session),
        ("person.deleted", None),
    ]
    versions = [each["data"]["version"] for each in events]
    assert versions == sorted(versions)
    assert all(set(each["data"]) <= {"person_id", "version", "session_id"} for each in events)


def test_profile_is_part_of_events_only_if_the_operator_asks_and_as_it_is_now(
    service: EventService,
):
    service.relay.kill()
    person = service.api.sign_up()
    gone = service.api.sign_up()
    assert person.patch({"name": "Grace"}).status_code == 200
    assert gone.request("DELETE", "profile/").status_code == 204
    relay = start_relay(service.stack, service.receiver.url, EVENT_WEBHOOK_PROFILE="1")
    try:
        created, changed = service.received(person, 2)
        events = service.received(gone, 2)
    finally:
        relay.kill()
        service.relay.start()
    profile = httpx.get(f"{service.stack.url}/api/v1/profile/", headers=person.bearer).json()
    assert created["data"]["profile"] == changed["data"]["profile"] == profile
    assert "profile" not in events[0]["data"] | events[1]["data"], "nothing of an erased person"


def test_without_a_url_nothing_is_written(django_db_access: None, api: ApiClient):
    person = api.sign_up()
    assert person.request("DELETE", "profile/").status_code == 204
    assert find_events(person.id) == []


def test_replayed_sign_up_revokes_the_session_before(service: EventService):
    body, key = sign_up_payload(), {"Idempotency-Key": str(uuid4())}
    first, _ = (
        SignedUpPerson(service.api, service.api.post("/api/v1/signup/", body, **key))
        for _ in range(2)
    )
    events = service.received(first, 2)
    assert [each["type"] for each in events] == ["person.created", "session.revoked"]


def test_refreshed_session_is_revoked_by_the_id_that_it_always_had(service: EventService):
    person = service.api.sign_up()
    (session_id,) = session_ids(person)
    response = person.request("POST", "sessions/current/refresh/")
    refreshed = person.with_token(response.json()["session"]["token"])
    assert refreshed.request("DELETE", "sessions/").status_code == 204
    created, revoked = service.received(person, 2)
    assert created["type"] == "person.created", "a refresh is no event"
    assert revoked["data"] == {"person_id": person.id, "version": 3, "session_id": session_id}


def test_oldest_session_above_the_limit_is_revoked(writes_events: None, api: ApiClient):
    from domain.model.person import ActiveSession, SessionClient
    from domain.model.session_token import MAX_SESSIONS
    from domain.postgres.unit_of_work import unit_of_work

    person = api.sign_up()
    (oldest,) = session_ids(person)
    expires_at = datetime.now(UTC) + timedelta(days=1)
    for _ in range(MAX_SESSIONS):
        with unit_of_work() as uow:
            assert uow.lock_person(UUID(person.id))
            session = ActiveSession(sha256(uuid4().bytes).digest(), expires_at)
            uow.create_session(UUID(person.id), session, SessionClient())
    assert find_events(person.id) == [("session.revoked", MAX_SESSIONS + 1, UUID(oldest))]


def test_operator_who_ends_all_sessions_and_expired_ones(writes_events: None, api: ApiClient):
    """A session that has expired was not revoked."""
    from domain.commands.sessions import revoke_sessions_of_person
    from domain.postgres.models import Session
    from domain.postgres.unit_of_work import unit_of_work

    person = api.sign_up()
    (active,) = session_ids(person)
    Session.objects.create(
        person_id=person.id, digest=uuid4().bytes, expires_at=datetime.now(UTC) - timedelta(1)
    )
    revoke_sessions_of_person(UUID(person.id), unit_of_work)
    assert find_events(person.id) == [("session.revoked", 2, UUID(active))]


def test_purge_of_people_who_confirmed_nothing_is_an_event_for_each(
    writes_events: None, api: ApiClient
):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from domain.postgres import models, purge

    people = [api.sign_up() for _ in range(3)]
    rows = models.Person.objects.filter(id__in=[each.id for each in people])
    rows.update(created_at=datetime.now(UTC) - timedelta(days=30))
    with CaptureQueriesContext(connection) as queries:
        purge.erase_unverified()
    for person in people:
        assert find_events(person.id) == [("person.deleted", 2, None)]
    assert sum("rollcall_event" in each["sql"] for each in queries) == 1, "for all of them"


def test_rolled_back_change_is_no_event(writes_events: None, api: ApiClient):
    from domain.postgres.unit_of_work import unit_of_work

    person = api.sign_up()

    def fail() -> None:
        with unit_of_work() as uow:
            assert uow.lock_person(UUID(person.id))
            uow.revoke_sessions(UUID(person.id))
            uow.bump_version(UUID(person.id))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert find_events(person.id) == []


def test_body_is_compact_json(service: EventService):
    person = service.api.sign_up()
    service.received(person, 1)
    (request,) = service.requests_about(person)
    assert request.headers["content-type"] == "application/json"
    assert list(json.loads(request.body)) == ["type", "timestamp", "data"]


@pytest.fixture
def signed_request(service: EventService) -> Request:
    person = service.api.sign_up()
    service.received(person, 1)
    (request,) = service.requests_about(person)
    return request


def read_block(language: str) -> str:
    """Returns the code of docs/events.md in a language."""
    text = (ROOT / "docs" / "events.md").read_text()
    return text.partition(f"```{language}\n")[2].partition("```")[0]


def test_documented_verification_in_python(signed_request: Request):
    names: dict[str, Any] = {}
    exec(read_block("python"), names)
    headers, body = signed_request.headers, signed_request.body
    for key in (KEY, NEXT_KEY):
        names["verify"](encode_secret(key), headers, body)
    for secret, changed in ((encode_secret(KEY), body + b" "), (encode_secret(b"x" * 24), body)):
        with pytest.raises(ValueError, match="wrong signature"):
            names["verify"](secret, headers, changed)
    headers.replace_header("webhook-timestamp", "1764500000")
    with pytest.raises(ValueError, match="wrong signature"):
        names["verify"](encode_secret(KEY), headers, body)


@pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed")
def test_documented_verification_in_javascript(signed_request: Request, tmp_path: Path):
    (tmp_path / "verify.mjs").write_text(read_block("js"))
    headers = {name.lower(): value for name, value in signed_request.headers.items()}
    calls = [
        f"verify({json.dumps(encode_secret(key))}, {json.dumps(headers)}, Buffer.from(body));"
        for key in (KEY, b"x" * 24)
    ]
    script = f"""import {{ verify }} from "./verify.mjs";
        const body = {json.dumps(signed_request.body.decode())};
        {calls[0]}
        try {{ {calls[1]} }} catch (error) {{ console.log(error.message); }}"""
    (tmp_path / "main.mjs").write_text(script)
    result = subprocess.run(
        ["node", tmp_path / "main.mjs"], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout == "wrong signature\n"
