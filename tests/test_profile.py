"""Reading a profile: one HMGET, the stored octets, and who may see them."""

import socket

import pytest

from tests.someone import Rollcall, code_of, eventually


def test_profile_has_seven_fields_in_order(rollcall: Rollcall):
    answer = rollcall.sign_up().profile()
    assert list(answer.json()) == [
        "name", "surname", "email", "phone", "hobbies", "email_verified", "phone_verified",
    ]  # fmt: skip  # one line, as in the contract
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"


def test_matching_if_none_match_is_a_304_without_a_body(rollcall: Rollcall):
    someone = rollcall.sign_up()
    etag = someone.profile().headers["etag"]
    assert etag.startswith('"')
    for given in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = someone.profile(**{"If-None-Match": given})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == etag
        assert answer.headers["vary"] == "Authorization"
    for given in ('"other"', etag.strip('"'), "", "\x80", '"' * 1000):
        odd = {b"If-None-Match": given.encode("latin-1")}
        bearer = {name.encode(): value.encode() for name, value in someone.bearer.items()}
        answer = rollcall.http.get("/api/v1/profile/", headers=bearer | odd)
        assert answer.status_code == 200


def test_etag_changes_only_with_the_profile(rollcall: Rollcall):
    someone = rollcall.sign_up()
    before = someone.profile().headers["etag"]
    assert someone.profile().headers["etag"] == before
    assert someone.confirm("phone").status_code == 200
    assert someone.profile().headers["etag"] != before


def test_head_has_the_headers_of_get_and_no_body(stack, rollcall: Rollcall):
    someone = rollcall.sign_up()
    get = someone.profile()
    head = rollcall.http.head("/api/v1/profile", headers=someone.bearer)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-length", "content-type", "cache-control", "vary"):
        assert head.headers[name] == get.headers[name]


def turned(token: str, at: int) -> str:
    other = "A" if token[at] != "A" else "B"
    return token[:at] + other + token[at + 1 :]


def test_altered_or_truncated_token_is_rejected(rollcall: Rollcall):
    token = rollcall.sign_up().token
    bad = [turned(token, at) for at in range(len(token))]
    bad += [token[:-1], token[1:], token + "A", token + "=", token.swapcase(), "A" * 100]
    for value in bad:
        answer = rollcall.http.get("/api/v1/profile/", headers={"Authorization": f"Bearer {value}"})
        assert answer.status_code == 401
    assert code_of(answer) == "invalid_token"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["vary"] == "Authorization"


@pytest.mark.parametrize(
    "value",
    [None, "", "Bearer", "Basic YTpi", "{}", "Bearer {} {}", "Bearer {}, Bearer {}",
     "Token {}", "Bearer \x80", "Bearer " + "A" * 5000],
)  # fmt: skip  # a list to be read at a glance
def test_invalid_authorization_header_is_rejected(rollcall: Rollcall, value):
    token = rollcall.sign_up().token
    headers = {} if value is None else {"Authorization": value.format(token, token)}
    encoded = {name: text.encode("latin-1") for name, text in headers.items()}
    answer = rollcall.http.get("/api/v1/profile/", headers=encoded)
    assert answer.status_code == 401
    assert code_of(answer) == "invalid_token"


def test_authorization_scheme_is_case_insensitive(rollcall: Rollcall):
    token = rollcall.sign_up().token
    answer = rollcall.http.get("/api/v1/profile/", headers={"Authorization": f"bEARER  {token}"})
    assert answer.status_code == 200


def test_two_authorization_headers_are_rejected(stack, rollcall: Rollcall):
    right = f"Authorization: Bearer {rollcall.sign_up().token}\r\n"
    for headers in (right + right, right + "Authorization: Basic YTpi\r\n"):
        with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as connection:
            head = "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            connection.sendall(f"{head}{headers}\r\n".encode())
            assert connection.makefile("rb").readline().split()[1] == b"401"


def test_write_with_a_deleted_session_is_rejected(django_here, rollcall: Rollcall):
    from domain.stores.models import Session

    someone = rollcall.sign_up()
    code = someone.message("phone")["code"]
    Session.objects.filter(person_id=someone.answer.json()["id"]).delete()
    answer = someone.confirm("phone", code)
    assert answer.status_code == 401
    assert code_of(answer) == "invalid_token"


def test_read_with_a_session_missing_from_the_hash_is_rejected(django_here, rollcall: Rollcall):
    from django.db.models import F

    from domain.stores import profiles
    from domain.stores.models import Person, Session

    someone = rollcall.sign_up()
    person = Person.objects.filter(id=someone.answer.json()["id"])
    Session.objects.filter(person__in=person).delete()
    person.update(version=F("version") + 1)
    profiles.refresh(person.get().id)
    assert code_of(someone.profile()) == "invalid_token"


def test_expired_session_is_rejected(django_here, rollcall: Rollcall):
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta
    from uuid import UUID

    from domain.person import Person
    from domain.stores import people, profiles

    someone = rollcall.sign_up()
    person = people.load(UUID(someone.answer.json()["id"]))
    assert isinstance(person, Person)
    for version, minutes, status in ((2, 1, 200), (3, -1, 401)):
        ends = datetime.now(UTC) + timedelta(minutes=minutes)
        session = replace(person.sessions[0], expires_at=ends)
        assert profiles.publish(replace(person, version=version, sessions=(session,)))
        assert someone.profile().status_code == status


def test_read_is_one_redis_command(django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()
    before = redis().info("commandstats")
    assert someone.profile().json() == someone.body
    after = redis().info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    # INFO is this test's own; the relay of the stack waits with BZPOPMAX.
    ours = {
        n for n, count in calls.items() if count and n.split("_")[1] not in ("info", "bzpopmax")
    }
    assert ours == {"cmdstat_hmget"}
    assert calls["cmdstat_hmget"] == 1


def test_missing_profile_is_backfilled_and_returned(django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()

    def status_of_first_read() -> int:
        redis().delete(f"p:{someone.answer.json()['id'].replace('-', '')}")
        return someone.profile().status_code

    # More than once, because the relay may still be waiting for a Redis that was away.
    assert eventually(lambda: status_of_first_read() == 200)


def test_missing_profile_is_a_503_after_the_timeout(stack, django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()
    stack.services["relay"].suspend()
    try:
        redis().delete(f"p:{someone.answer.json()['id'].replace('-', '')}")
        answer = someone.profile()
    finally:
        stack.services["relay"].resume()
    assert answer.status_code == 503
    assert code_of(answer) == "unavailable"
    assert answer.headers["retry-after"] == "1"
    assert eventually(lambda: someone.profile().status_code == 200, within=5)
