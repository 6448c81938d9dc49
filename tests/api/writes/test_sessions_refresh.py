"""Refreshing a session: its token is replaced, and the old one is accepted a little longer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from tests.support.client import ApiClient, SignedUpPerson, field_errors, problem_code, wait_until

REFRESH = "sessions/current/refresh/"
DAY = timedelta(days=1)


def refresh(person: SignedUpPerson) -> SignedUpPerson:
    """Returns the person with the new token."""
    response = person.request("POST", REFRESH)
    assert response.status_code == 200, response.text
    return person.with_token(response.json()["session"]["token"])


def statuses(*people: SignedUpPerson) -> list[tuple[int, int]]:
    """Returns the status of a read and of a write for each."""
    return [(each.profile().status_code, each.patch({}).status_code) for each in people]


def advance_time(time: timedelta, person: SignedUpPerson) -> None:
    from tests.support import clock

    person.wait_for_outbox()
    clock.advance_time(time, person.id)


def list_sessions(person: SignedUpPerson) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = person.request("GET", "sessions/").json()["sessions"]
    return sessions


@pytest.fixture
def person(django_db_access, api: ApiClient) -> SignedUpPerson:
    return api.sign_up()


def test_refresh_returns_a_new_token_with_a_new_lifetime(person):
    advance_time(29 * DAY, person)
    response = person.request("POST", REFRESH)
    assert (response.status_code, list(response.json())) == (200, ["session"])
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["ratelimit-policy"].startswith('"other"')
    session = response.json()["session"]
    assert list(session) == ["token", "token_type", "expires_at"]
    assert (session["token_type"], session["token"] == person.token) == ("Bearer", False)
    expires_at = datetime.fromisoformat(session["expires_at"])
    assert timedelta(0) <= 30 * DAY - (expires_at - datetime.now(UTC)) < timedelta(minutes=1)
    current = person.with_token(session["token"])
    advance_time(2 * DAY, person)
    assert statuses(person, current) == [(401, 401), (200, 200)]


def test_old_token_is_accepted_for_30_seconds_more(person):
    current = refresh(person)
    assert statuses(person, current) == [(200, 200)] * 2
    advance_time(timedelta(seconds=28), person)
    assert statuses(person, current) == [(200, 200)] * 2
    advance_time(timedelta(seconds=3), person)
    assert statuses(person, current) == [(401, 401), (200, 200)]
    assert problem_code(person.request("POST", REFRESH)) == "invalid_token"


def test_expired_old_token_is_rejected_by_reads_and_leaves_redis_with_the_next_write(person):
    from domain.model.session_token import token_digest
    from domain.postgres.models import Session
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    redis, key, now = get_client(), redis_key(UUID(person.id)), datetime.now(UTC)
    current, field = refresh(person), token_digest(person.token)
    expiry = cast("dict[bytes, bytes]", redis.hgetall(key))[field]
    assert 29 < int(expiry) - now.timestamp() < 35
    Session.objects.filter(person_id=person.id).update(previous_expires_at=now)
    cast("Any", redis).hset(key, field, int(now.timestamp()))
    assert statuses(person) == [(401, 401)]
    assert current.patch({"name": "Grace"}).status_code == 200
    assert field not in cast("dict[bytes, bytes]", redis.hgetall(key))


def test_repeated_refresh_returns_the_same_token(person):
    current = refresh(person)
    assert refresh(person).token == current.token
    assert current.patch({"name": "Grace"}).status_code == 200  # raises the version
    assert refresh(person).token == current.token
    assert len(list_sessions(current)) == 1


def test_concurrent_refreshes_return_the_same_token(person):
    def attempt(_: int) -> str:
        with httpx.Client(base_url=person.api.http.base_url, timeout=30) as http:
            response = http.post(f"/api/v1/{REFRESH}", headers=person.bearer)
        return str(response.json()["session"]["token"])

    with ThreadPoolExecutor(8) as tabs:
        (token,) = set(tabs.map(attempt, range(8)))
    assert statuses(person.with_token(token)) == [(200, 200)]


def test_second_refresh_ends_the_first_token_at_once(person):
    second = refresh(person)
    third = refresh(second)
    assert statuses(person, second, third) == [(401, 401), (200, 200), (200, 200)]
    assert problem_code(person.request("POST", REFRESH)) == "invalid_token"


def test_refreshed_session_stays_the_same_session(person):
    (before,) = list_sessions(person)
    current = refresh(refresh(person))
    (after,) = list_sessions(current)
    kept = ("id", "created_at", "current")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    (exported,) = current.request("GET", "profile/export/").json()["sessions"]
    assert exported["id"] == before["id"]
    assert "digest" not in str(exported)


def test_session_in_the_list_is_the_current_one_of_the_old_token_too(person):
    refresh(person)
    assert [each["current"] for each in list_sessions(person)] == [True]


@pytest.mark.parametrize("path", ["sessions/current/", "sessions/{id}/", "sessions/", "profile/"])
@pytest.mark.parametrize("by", ["old token", "new token"])
def test_revocation_ends_both_tokens(person, path, by):
    current = refresh(person)
    (session,) = list_sessions(person)
    revoked_by = person if by == "old token" else current
    assert revoked_by.request("DELETE", path.format(id=session["id"])).status_code == 204
    assert [each.profile().status_code for each in (person, current)] == [401, 401]
    assert [each.request("POST", REFRESH).status_code for each in (person, current)] == [401, 401]


def test_eleventh_session_ends_both_tokens_of_the_oldest(person):
    assert person.confirm("phone").status_code == 200
    oldest = person.sign_in("phone")
    current = refresh(oldest)
    for _ in range(10):
        newest = person.sign_in("phone")
    assert statuses(oldest, current, newest) == [(401, 401), (401, 401), (200, 200)]


def test_first_sign_in_ends_a_refreshed_session_from_before_the_confirmation(person):
    """Refreshing does not make a session younger than the confirmation of its person's address."""
    token = person.message("email")["link"].partition("#")[2]
    body = {"token": token}
    assert person.api.post("/api/v1/confirmations/email/", body).status_code == 200
    current = refresh(person)
    owner = person.sign_in("email")
    assert statuses(person, current, owner) == [(401, 401), (401, 401), (200, 200)]


def test_address_is_confirmed_in_the_session_by_its_old_token(person):
    current = refresh(person)
    assert person.confirm("phone").status_code == 200
    assert current.profile().json()["phone_verified"] is True


def test_refresh_beside_a_revocation_leaves_no_token(api: ApiClient):
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            person = api.sign_up()
            refreshed = pool.submit(httpx.post, f"{api.http.base_url}/api/v1/{REFRESH}",
                                    headers=person.bearer, timeout=30)  # fmt: skip  # one glance
            assert person.request("DELETE", "sessions/").status_code in (204, 401)
            tokens = [person.token]
            if refreshed.result().status_code == 200:
                tokens.append(refreshed.result().json()["session"]["token"])
            assert statuses(*map(person.with_token, tokens)) == [(401, 401)] * len(tokens)


def test_session_lasts_a_year_after_its_sign_in_at_most(person):
    current = person
    for days in (29, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28):  # 337 in all
        advance_time(days * DAY, person)
        current = refresh(current)
    (session,) = list_sessions(current)
    start, end = map(datetime.fromisoformat, (session["created_at"], session["expires_at"]))
    assert abs(end - start - 365 * DAY) <= timedelta(seconds=1)
    advance_time(28 * DAY, person)
    assert statuses(current) == [(401, 401)]


def test_refresh_without_redis_is_read_once_it_is_back(stack, person):
    from tests.support.client import wait_until_readable

    stack.services["profiles"].stop()
    try:
        current = refresh(person)
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    wait_until(lambda: current.profile().status_code == 200)
    assert person.profile().status_code == 200


def test_invalid_tokens_and_bodies_are_rejected(person):
    for token in ("", "x", person.token[:-1] + ("A" if person.token[-1] != "A" else "B")):
        other = person.with_token(token) if token else person.with_token("none")
        assert problem_code(other.request("POST", REFRESH)) == "invalid_token"
    assert field_errors(person.request("POST", REFRESH, json={"token": "x"})) == {
        "token": "unknown_field"
    }
    assert person.request("POST", REFRESH, json={}).status_code == 200
    assert person.request("GET", REFRESH).status_code == 405
