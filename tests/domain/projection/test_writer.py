"""Writes of profiles where Redis has none, and where it is out of memory."""

from dataclasses import replace
from uuid import UUID

import pytest

from tests.support.client import ApiClient


@pytest.fixture
def state(django_db_access, api: ApiClient):
    """Returns the state of a person whose hash Redis has lost."""
    from domain import profile
    from domain.model.person import Person
    from domain.postgres import models, person_queries
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    models.Person.objects.filter(id=person.id).update(version=2)
    state = person_queries.get_person(UUID(person.id))
    assert isinstance(state, Person)
    get_client().delete(profile.redis_key(state.id))
    return state


def read_hash(person_id: UUID) -> object:
    from domain import profile
    from tests.support.profile_redis import get_client

    return get_client().hgetall(profile.redis_key(person_id))


def test_commit_stores_only_its_version_where_redis_has_no_hash(state):
    from domain.projection import writer

    assert not writer.write_profile(state)
    assert read_hash(state.id) == {b"v": b"2"}


def test_stored_version_rejects_an_older_page_of_a_rebuild(state):
    from domain.projection import writer

    writer.write_profile(state)
    assert writer.write_profiles([replace(state, version=1)]) == 0
    assert read_hash(state.id) == {b"v": b"2"}


def test_projection_fills_a_hash_that_redis_has_lost(state):
    from domain import profile
    from domain.projection import writer

    writer.project(state.id)
    assert read_hash(state.id) == profile.to_hash(state)


def test_projection_without_memory_overwrites_older_hashes(state, api: ApiClient):
    from domain import profile
    from domain.postgres import models, person_queries
    from domain.projection import writer
    from tests.support.profile_redis import get_client

    other = api.sign_up()
    other.wait_for_outbox()
    models.Person.objects.filter(id=other.id).update(version=2)
    get_client().config_set("maxmemory", "1mb")
    try:
        writer.project(state.id, UUID(other.id))
    finally:
        get_client().config_set("maxmemory", "0")
    other_state = person_queries.get_person(UUID(other.id))
    assert other_state is not None
    assert read_hash(state.id) == {}
    assert read_hash(UUID(other.id)) == profile.to_hash(other_state)


def test_new_profile_is_written_at_once_unless_redis_has_lost_its_data_since(state):
    from datetime import UTC, datetime

    from domain import profile
    from domain.fence import SINCE, fence_key
    from domain.projection import writer
    from tests.support.profile_redis import get_client

    assert get_client().hexists(fence_key(), SINCE), "the write process has stored it at its start"
    assert writer.write_profile(state, datetime.now(UTC))
    assert read_hash(state.id) == profile.to_hash(state)
    signed_up_at = datetime.now(UTC)
    get_client().delete(profile.redis_key(state.id))
    get_client().hset(fence_key(), SINCE, datetime.now(UTC).isoformat())
    assert not writer.write_profile(state, signed_up_at)
    assert read_hash(state.id) == {b"v": b"2"}
