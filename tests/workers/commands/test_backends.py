"""`manage.py backends`: keys of backends are made, listed, rotated and ended."""

import time
from collections.abc import Iterator
from hashlib import sha256
from uuid import uuid4

import httpx
import pytest
import redis

from local.stack import Stack
from tests.support.backends import Backend, make_backend, run_backends
from tests.support.client import ApiClient, read_process, wait_until, wait_until_readable
from tests.support.faults import resume, suspend

# Seconds until readers have a change: two, as the docs say, on a machine that has time for them.
BOUND = 10.0


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield client


@pytest.fixture
def backend(http: httpx.Client, django_db_access: None) -> Backend:
    return make_backend(http)


def statuses_until_refused(backend: Backend) -> set[int]:
    """Returns the statuses of requests until the first 401."""
    statuses: set[int] = set()

    def is_refused() -> bool:
        statuses.add(backend.status())
        return 401 in statuses

    wait_until(is_refused)
    return statuses


def test_key_has_a_prefix_and_a_checksum_and_is_not_stored(stack: Stack, backend: Backend):
    from domain.model.backend_key import is_well_formed

    assert backend.key.startswith("rollcall_bk_")
    assert is_well_formed(backend.key)
    assert not is_well_formed(backend.key[:-1] + "_")
    with redis.Redis.from_url(stack.environment()["REDIS_URL"]) as client:
        stored = client.hget("profile:backends", "keys")
    assert isinstance(stored, bytes)
    assert backend.key.encode() not in stored
    assert sha256(backend.key.encode()).hexdigest().encode() in stored


def test_ended_key_is_refused_within_the_documented_time(stack: Stack, backend: Backend):
    assert run_backends("end", backend.name).returncode == 0
    started_at = time.monotonic()
    assert statuses_until_refused(backend) <= {200, 401}
    assert time.monotonic() - started_at < BOUND


def test_rotated_key_is_accepted_until_its_grace_ends(
    stack: Stack, backend: Backend, http: httpx.Client
):
    result = run_backends("rotate", backend.name, "--grace", "2s")
    assert result.returncode == 0, result.stderr
    rotated_at = time.monotonic()
    new = Backend(http, backend.name, result.stdout.strip())
    wait_until(lambda: new.status() == 200, timeout=BOUND)
    status = backend.status()
    assert status == 200 or time.monotonic() - rotated_at > 2
    wait_until(lambda: backend.status() == 401, timeout=20)
    assert 1 < time.monotonic() - rotated_at < 2 + BOUND
    assert new.status() == 200


def test_list_shows_names_and_times_and_no_key(stack: Stack, backend: Backend):
    assert run_backends("rotate", backend.name, "--grace", "1d").returncode == 0
    lines = run_backends("list").stdout.splitlines()
    own = [line for line in lines if line.startswith(backend.name)]
    assert len(own) == 2
    assert ", ends " in own[0]
    assert ", in use" in own[1]
    assert "rollcall_bk_" not in "".join(lines)


def test_wrong_arguments_change_nothing(stack: Stack, backend: Backend):
    missing = f"missing-{uuid4().hex}"
    wrong: list[tuple[str, ...]] = [
        ("make", backend.name), ("rotate", missing), ("end", missing), ("make", "a b"),
        ("make", ""), ("rotate", backend.name, "--grace", "1"), ("make", "x" * 51),
        ("rotate", backend.name, "--grace", "91d"),
    ]  # fmt: skip  # one glance
    for arguments in wrong[:3]:
        assert run_backends(*arguments).returncode == 1
    for arguments in wrong[3:]:
        assert run_backends(*arguments).returncode != 0
    assert backend.status() == 200


def test_flushed_redis_gets_the_keys_from_the_relay(stack: Stack, backend: Backend, api: ApiClient):
    person = api.sign_up()
    with redis.Redis.from_url(stack.environment()["REDIS_URL"]) as client:
        client.flushall()
        wait_until(lambda: client.exists("profile:backends"), timeout=BOUND)
    assert backend.status() == 200
    assert wait_until(lambda: backend.post(data={"token": person.token}).status_code == 200)
    assert backend.introspect(person.token)["sub"] == person.id


def test_older_set_revives_no_ended_key(stack: Stack, backend: Backend):
    """Not for a reader that knows it to be ended; nor, as in a replica that has taken over, for one
    that starts afterwards.
    """
    relay = stack.services["relay"]
    with redis.Redis.from_url(stack.environment()["REDIS_URL"]) as client:
        older = client.hgetall("profile:backends")
        assert run_backends("end", backend.name).returncode == 0
        assert statuses_until_refused(backend) <= {200, 401}
        suspend(relay)
        try:
            other_identity = {b"identity": b"0" * 40 + b":" + b"0" * 40}
            client.hset("profile:backends", mapping=older | other_identity)
            with read_process(stack) as (_, url), httpx.Client(base_url=url, timeout=20) as http:
                fresh = Backend(http, backend.name, backend.key)
                assert (fresh.status(), backend.status()) == (503, 401)
                client.hset("profile:backends", mapping=older)
                wait_until(lambda: fresh.status() == 200)  # a reader has loaded it
                assert backend.status() == 401
                resume(relay)
                assert statuses_until_refused(fresh) == {200, 401}
        finally:
            resume(relay)


def test_key_that_ends_while_redis_is_down_is_refused_once_it_is_back(
    stack: Stack, backend: Backend
):
    stack.services["profiles"].stop()
    try:
        assert run_backends("end", backend.name).returncode == 2
        assert backend.status() in (200, 503)
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    wait_until(lambda: backend.status() == 401, timeout=20)
