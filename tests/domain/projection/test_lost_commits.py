"""A Postgres failover that lost commits: Redis is ahead, and versions are used twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

import pytest

from tests.support.client import ApiClient, SignedUpPerson, wait_until


@contextmanager
def lost_commits(person: SignedUpPerson) -> Iterator[None]:
    """Takes all that the block commits about a person back in Postgres, but not in Redis."""
    from domain.postgres.models import Person, Session

    (row,) = Person.objects.filter(id=person.id).values()
    sessions = list(Session.objects.filter(person_id=person.id))
    yield
    person.wait_for_outbox()
    Person.objects.filter(id=person.id).update(**row)
    Session.objects.filter(person_id=person.id).delete()
    Session.objects.bulk_create(sessions)


@pytest.fixture
def sessions(django_db_access, api: ApiClient) -> tuple[SignedUpPerson, SignedUpPerson]:
    """A person in two sessions."""
    first = api.sign_up()
    assert first.confirm("phone").status_code == 200
    first = first.sign_in("phone")  # ended those from before the confirmation
    second = first.sign_in("phone")
    first.wait_for_outbox()
    return first, second


def rename(person: SignedUpPerson) -> None:
    assert person.patch({"name": "Lost"}).status_code == 200


def rename_twice(person: SignedUpPerson) -> None:
    rename(person)
    assert person.patch({"name": "Lost too"}).status_code == 200


def verify(person: SignedUpPerson) -> list[str]:
    from domain.projection.verify import compare_now

    return [difference.kind for difference in compare_now([UUID(person.id)])]


@pytest.mark.parametrize("change", [rename, rename_twice], ids=["same version", "higher version"])
def test_revocation_after_lost_commits_stands_at_its_204(
    sessions, change: Callable[[SignedUpPerson], None]
):
    first, second = sessions
    with lost_commits(first):
        change(first)
    assert first.request("DELETE", "sessions/current/").status_code == 204
    assert first.profile().status_code == 401
    assert second.profile().json()["name"] == "Ada"
    assert verify(first) == []


@pytest.mark.parametrize("change", [rename, rename_twice], ids=["same version", "higher version"])
def test_sign_in_after_lost_commits_is_no_401(sessions, change: Callable[[SignedUpPerson], None]):
    first, _ = sessions
    with lost_commits(first):
        change(first)
    later = first.sign_in("phone")
    assert later.profile().json()["name"] == "Ada"


def test_session_whose_revocation_is_lost_is_not_read_again(sessions):
    first, second = sessions
    with lost_commits(first):
        assert first.request("DELETE", "sessions/current/").status_code == 204
    for name in ("Grace", "Ada"):
        assert second.patch({"name": name}).status_code == 200
        assert second.profile().json()["name"] == name
        assert first.profile().status_code == 401
    assert verify(first) == []


def test_session_whose_refresh_is_lost_goes_on_with_its_old_token(sessions):
    first, second = sessions
    with lost_commits(first):
        response = first.request("POST", "sessions/current/refresh/")
        refreshed = first.with_token(response.json()["session"]["token"])
    assert refreshed.patch({"name": "Grace"}).status_code == 401
    assert second.patch({"name": "Grace"}).status_code == 200
    assert refreshed.profile().status_code == 401
    assert first.profile().json()["name"] == "Grace"
    again = first.request("POST", "sessions/current/refresh/")
    assert first.with_token(again.json()["session"]["token"]).profile().status_code == 200
    assert verify(first) == []


def test_person_whose_erasure_is_lost_is_not_read_again(sessions):
    from datetime import UTC, datetime

    from domain.model.person import Tombstone
    from domain.postgres import person_queries
    from domain.projection import writer

    first, second = sessions
    state = person_queries.get_person(UUID(first.id))
    assert state is not None
    assert writer.write_profile(Tombstone(state.id, state.version + 1, datetime.now(UTC)))
    for name in ("Grace", "Ada", "Grace"):
        assert second.patch({"name": name}).status_code == 200
        assert first.profile().status_code == second.profile().status_code == 401
    second.wait_for_outbox()
    assert verify(first) == ["erased"]
    assert first.request("DELETE", "profile/").status_code == 204
    assert verify(first) == []


def test_ended_sessions_are_forgotten_in_time(sessions):
    from domain.profile import is_revoked, redis_key
    from tests.support.profile_redis import get_client

    first, second = sessions
    assert first.request("DELETE", "sessions/current/").status_code == 204
    key = redis_key(UUID(first.id))
    stored = cast(dict[bytes, bytes], get_client().hgetall(key))
    revoked = [name for name, value in stored.items() if is_revoked(value)]
    assert revoked
    for name in revoked:
        get_client().hset(key, name, b"-1")
    assert second.patch({"name": "Grace"}).status_code == 200
    wait_until(lambda: not set(revoked) & get_client().hgetall(key).keys())


def test_tombstone_expires_in_redis_and_a_miss_writes_it_again(sessions):
    from django.conf import settings

    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    first, _ = sessions
    assert first.request("DELETE", "profile/").status_code == 204
    key, lifetime = redis_key(UUID(first.id)), settings.SESSION_LIFETIME.total_seconds()
    assert lifetime - 60 < get_client().ttl(key) <= lifetime
    get_client().delete(key)
    wait_until(lambda: first.profile().status_code == 401)
    assert get_client().ttl(key) > 0
