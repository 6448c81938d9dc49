"""Profile reads: one HMGET, the stored bytes, and authentication."""

import socket
from itertools import takewhile

import pytest

from tests.support.client import ApiClient, problem_code, wait_until
from tests.support.faults import resume, suspend


def test_profile_has_seven_fields_in_order(api: ApiClient):
    response = api.sign_up().profile()
    assert list(response.json()) == [
        "name", "surname", "email", "phone", "hobbies", "email_verified", "phone_verified",
    ]  # fmt: skip  # one line, as in the contract
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["vary"] == "Authorization, Cookie"


def test_matching_if_none_match_is_a_304_without_a_body(api: ApiClient):
    person = api.sign_up()
    etag = person.profile().headers["etag"]
    assert etag.startswith('"')
    for sent in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        response = person.profile(**{"If-None-Match": sent})
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == etag
        assert response.headers["vary"] == "Authorization, Cookie"
    for sent in ('"other"', etag.strip('"'), "", "\x80", '"' * 1000):
        unusual = {b"If-None-Match": sent.encode("latin-1")}
        bearer = {name.encode(): value.encode() for name, value in person.bearer.items()}
        response = api.http.get("/api/v1/profile/", headers=bearer | unusual)
        assert response.status_code == 200


def test_etag_changes_only_with_the_profile(api: ApiClient):
    person = api.sign_up()
    before = person.profile().headers["etag"]
    assert person.profile().headers["etag"] == before
    assert person.confirm("phone").status_code == 200
    assert person.profile().headers["etag"] != before


def test_head_has_the_headers_of_get_and_no_body(stack, api: ApiClient):
    person = api.sign_up()
    get_response = person.profile()
    head = api.http.head("/api/v1/profile", headers=person.bearer)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-length", "content-type", "cache-control", "vary"):
        assert head.headers[name] == get_response.headers[name]


def alter(token: str, at: int) -> str:
    other = "A" if token[at] != "A" else "B"
    return token[:at] + other + token[at + 1 :]


def test_altered_or_truncated_token_is_rejected(api: ApiClient):
    token = api.sign_up().token
    invalid = [alter(token, at) for at in range(len(token))]
    invalid += [token[:-1], token[1:], token + "A", token + "=", token.swapcase(), "A" * 100]
    for value in invalid:
        response = api.http.get("/api/v1/profile/", headers={"Authorization": f"Bearer {value}"})
        assert response.status_code == 401
    assert problem_code(response) == "invalid_token"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["vary"] == "Accept-Language, Authorization, Cookie"


@pytest.mark.parametrize(
    "value",
    [None, "", "Bearer", "Basic YTpi", "{}", "Bearer {} {}", "Bearer {}, Bearer {}",
     "Token {}", "Bearer \x80", "Bearer " + "A" * 5000],
)  # fmt: skip  # a list to be read at a glance
def test_invalid_authorization_header_is_rejected(api: ApiClient, value):
    token = api.sign_up().token
    headers = {} if value is None else {"Authorization": value.format(token, token)}
    encoded = {name: text.encode("latin-1") for name, text in headers.items()}
    response = api.http.get("/api/v1/profile/", headers=encoded)
    assert response.status_code == 401
    assert problem_code(response) == "invalid_token"


def test_authorization_scheme_is_case_insensitive(api: ApiClient):
    token = api.sign_up().token
    response = api.http.get("/api/v1/profile/", headers={"Authorization": f"bEARER  {token}"})
    assert response.status_code == 200


def test_two_authorization_headers_are_rejected(stack, api: ApiClient):
    valid = f"Authorization: Bearer {api.sign_up().token}\r\n"
    for headers in (valid + valid, valid + "Authorization: Basic YTpi\r\n"):
        with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
            head = "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            connection.sendall(f"{head}{headers}\r\n".encode())
            assert connection.makefile("rb").readline().split()[1] == b"401"


def test_write_with_a_deleted_session_is_rejected(django_db_access, api: ApiClient):
    from domain.postgres.models import Session

    person = api.sign_up()
    code = person.message("phone")["code"]
    Session.objects.filter(person_id=person.response.json()["id"]).delete()
    response = person.confirm("phone", code)
    assert response.status_code == 401
    assert problem_code(response) == "invalid_token"


def test_read_with_a_session_missing_from_the_hash_is_rejected(django_db_access, api: ApiClient):
    from django.db.models import F

    from domain.postgres.models import Person, Session
    from domain.projection import writer

    person = api.sign_up()
    rows = Person.objects.filter(id=person.id)
    Session.objects.filter(person__in=rows).delete()
    rows.update(version=F("version") + 1)
    writer.project(rows.get().id)
    assert problem_code(person.profile()) == "invalid_token"


def test_expired_session_is_rejected(django_db_access, api: ApiClient):
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta
    from uuid import UUID

    from domain.model.person import Person
    from domain.postgres import person_queries
    from domain.projection import writer

    person = api.sign_up()
    stored = person_queries.get_person(UUID(person.id))
    assert isinstance(stored, Person)
    for version, minutes, status in ((2, 1, 200), (3, -1, 401)):
        expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
        session = replace(stored.sessions[0], expires_at=expires_at)
        assert writer.write_profile(replace(stored, version=version, sessions=(session,)))
        assert person.profile().status_code == status


def test_read_is_one_redis_command(django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    with get_client().monitor() as monitor:  # type: ignore[no-untyped-call]  # it has no types
        assert person.profile().json() == person.body
        get_client().echo("read")
        commands = takewhile(
            lambda text: text != "ECHO read", (each["command"] for each in monitor.listen())
        )
        own = [text for text in commands if person.id.replace("-", "") in text]
    assert [text.split()[0] for text in own] == ["HMGET"]


def test_missing_profile_is_backfilled_and_returned(django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()

    def status_of_first_read() -> int:
        get_client().delete(f"p:{person.response.json()['id'].replace('-', '')}")
        return person.profile().status_code

    # Repeated, because the relay may still be waiting for a Redis that was unavailable.
    assert wait_until(lambda: status_of_first_read() == 200)


def test_missing_profile_is_a_503_after_the_timeout(stack, django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    suspend(stack.services["relay"])
    try:
        get_client().delete(f"p:{person.response.json()['id'].replace('-', '')}")
        response = person.profile()
    finally:
        resume(stack.services["relay"])
    assert response.status_code == 503
    assert problem_code(response) == "unavailable"
    assert response.headers["retry-after"] == "1"
    assert wait_until(lambda: person.profile().status_code == 200, timeout=5)
