"""Which data in the profile Redis are trusted, and how those that it lacks come back by themselves.

Real servers fail over in `tests.system.test_failover`; this has the relay's part of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from redis import Redis
from structlog.testing import capture_logs

from domain.projection.redis_pool import Pool
from local.servers import Valkey
from tests.support.client import ApiClient, SignedUpPerson, wait_until


def redis_key(person: SignedUpPerson) -> str:
    return f"p:{UUID(person.id).hex}"


@pytest.fixture
def redis(tmp_path: Path, django_db_access) -> Iterator[Redis]:
    """A Redis of its own, which only the test's fencing uses."""
    with Valkey(tmp_path, "profiles") as server:
        pool = Pool.from_url(server.url, protocol=3)
        with Redis(connection_pool=pool) as client:
            yield client
        pool.close()


def get_server_pool(redis: Redis) -> Pool:
    return cast(Pool, redis.connection_pool)


@pytest.fixture
def advance(redis: Redis):
    """Fences that Redis as the relay does; returns the result."""
    from domain.projection.client import Primary
    from domain.projection.fencing import Fencing

    return lambda hash_tag="": Fencing().advance(Primary(get_server_pool(redis), hash_tag))


def is_trusted(redis: Redis) -> bool:
    from domain import fence
    from domain.projection.redis_command import execute_pipeline

    commands = fence.fence_commands(fence.fence_key())
    return fence.is_trusted(execute_pipeline(get_server_pool(redis), commands))


def copy_hash(person: SignedUpPerson, redis: Redis) -> None:
    """Copies a person's hash from the stack's Redis."""
    from tests.support.profile_redis import get_client

    value = get_client().dump(redis_key(person))
    assert isinstance(value, bytes)
    redis.restore(redis_key(person), 0, value, replace=True)


@pytest.fixture
def people(api: ApiClient, redis: Redis, advance) -> list[SignedUpPerson]:
    """Four people, whose first hashes the Redis has too, which is fenced: unchanged, changed,
    signed out and erased.
    """
    advance()
    people = [api.sign_up() for _ in range(4)]
    _, changed, left, erased = people
    for person in people:
        person.wait_for_outbox()
        copy_hash(person, redis)
    assert changed.patch({"name": "Grace"}).status_code == 200
    assert left.request("DELETE", "sessions/current/").status_code == 204
    assert erased.request("DELETE", "profile/").status_code == 204
    for person in people:
        person.wait_for_outbox()
    return people


def demote_and_promote(redis: Redis) -> None:
    """Demotes a primary, which keeps its run id, and promotes it again: it has not synchronized
    with another one in between.
    """
    redis.replicaof("127.0.0.1", "1")
    redis.replicaof("NO", "ONE")


def test_primary_that_was_demoted_in_between_is_fenced_again(redis: Redis, people, advance):
    unchanged, *others = people
    run_id = redis.info("server")["run_id"]
    demote_and_promote(redis)
    assert redis.info("server")["run_id"] == run_id
    assert not is_trusted(redis)
    assert advance().is_advanced
    assert is_trusted(redis)
    assert [redis.hexists(redis_key(person), "b") for person in people] == [True] + [False] * 3
    assert [redis.hget(redis_key(person), "v") for person in others] == [b"2", b"2", b"2"]
    assert redis.hget(redis_key(unchanged), "v") == b"1"


def test_what_is_not_older_than_postgres_is_not_marked(redis: Redis, people, advance):
    _, changed, left, erased = people
    for person in (changed, erased):
        copy_hash(person, redis)
    redis.hset(redis_key(left), mapping={b"b": b"{}", b"e": b'"x"', b"v": b"77"})
    before = [redis.hgetall(redis_key(person)) for person in people]
    demote_and_promote(redis)
    assert advance().is_advanced
    assert [redis.hgetall(redis_key(person)) for person in people] == before


@pytest.mark.parametrize("complete_until", ["2001-01-01T00:00:00+00:00", None])
def test_data_that_are_too_old_are_deleted_and_other_keys_stay(
    redis: Redis, people, advance, complete_until: str | None
):
    from domain.fence import COMPLETE_UNTIL, RUN_ID, fence_key
    from domain.postgres.person_queries import NIL_UUID

    redis.delete(fence_key())  # it has profiles from before there was one
    if complete_until:
        redis.hset(fence_key(), mapping={RUN_ID: "another", COMPLETE_UNTIL: complete_until})
    redis.set("p:another", "stays")
    assert advance().rebuild_after == NIL_UUID
    assert is_trusted(redis)
    assert not redis.exists(*map(redis_key, people))
    assert redis.get("p:another") == b"stays"


def test_slot_that_moves_to_a_fenced_server_costs_no_profile(redis: Redis, people):
    """In a Redis Cluster the fence's hash tag has the lowest slot of its primary."""
    from domain.projection.client import Primary
    from domain.projection.fencing import Fencing

    pool, fencing = get_server_pool(redis), Fencing()
    assert fencing.advance(Primary(pool, "a")).rebuild_after is not None
    for person in people:
        copy_hash(person, redis)
    assert fencing.advance(Primary(pool, "b")).rebuild_after is None
    assert redis.exists(*map(redis_key, people)) == len(people)


def test_flushed_redis_is_rebuilt_by_itself(stack, django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(4)]
    assert people[0].patch({"name": "Grace"}).status_code == 200
    assert people[1].request("DELETE", "profile/").status_code == 204
    for person in people:
        person.wait_for_outbox()
    before = [get_client().hgetall(redis_key(person)) for person in people]
    get_client().flushall()
    wait_until(lambda: all(get_client().exists(redis_key(person)) for person in people))
    assert [get_client().hgetall(redis_key(person)) for person in people] == before


def test_rebuild_goes_on_where_a_killed_relay_was(stack, django_db_access, api: ApiClient):
    from domain.fence import REBUILD_AFTER, fence_key
    from tests.support.profile_redis import get_client

    people = sorted((api.sign_up() for _ in range(4)), key=lambda person: UUID(person.id))
    for person in people:
        person.wait_for_outbox()
    cursor = UUID(people[1].id)
    wait_until(lambda: not get_client().hexists(fence_key(), REBUILD_AFTER))
    stack.services["relay"].kill()
    try:
        get_client().delete(*map(redis_key, people))
        get_client().hset(fence_key(), REBUILD_AFTER, str(cursor))
    finally:
        stack.services["relay"].start()
    wait_until(lambda: not get_client().hexists(fence_key(), REBUILD_AFTER))
    is_stored = [bool(get_client().exists(redis_key(person))) for person in people]
    assert is_stored == [False, False, True, True]


def test_primary_that_was_cut_off_is_not_trusted_by_its_own_fence(redis: Redis):
    """It was never demoted, so its identity is the fenced one; another primary has served since."""
    from api.reads.redis.server_check import ServerCheck, UntrustedServer
    from domain import fence
    from domain.projection.client import Primary
    from domain.projection.fencing import Fencing
    from domain.projection.redis_command import execute_pipeline

    fencing, check, pool = Fencing(), ServerCheck(), get_server_pool(redis)

    def read_status() -> str:
        return check.status(execute_pipeline(pool, check.commands()))

    fencing.advance(Primary(pool, ""))
    cut_off = redis.dump(fence.fence_key())
    assert isinstance(cut_off, bytes)
    fencing.advance(Primary(pool, ""))
    assert read_status() == "ok"
    redis.restore(fence.fence_key(), 0, cut_off, replace=True)
    with pytest.raises(UntrustedServer, match="stale"):
        read_status()
    Fencing().advance(Primary(pool, ""))  # another relay, whose clock is not behind
    assert read_status() == "ok"
    redis.restore(fence.fence_key(), 0, cut_off, replace=True)
    with capture_logs() as logs:
        fencing.advance(Primary(pool, ""))
    assert [each["event"] for each in logs] == ["stale_replica_recovered"]
    assert read_status() == "ok"
