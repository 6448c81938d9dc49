"""Failover: connections to demoted servers are replaced by connections to the new primary."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from domain.fence import REPLICATION_ID, RUN_ID, fence_key
from domain.profile import BODY
from local.postgres import Postgres
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.client import ApiClient, SignedUpPerson, wait_until, write_process
from tests.support.replicated_redis import Replicated
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import copy_template
from tests.system.conftest import Managed
from tests.system.test_deadlines import is_read_only


def test_connection_uses_the_writable_host(
    stack: Stack, load_settings: SettingsProcess, tmp_path: Path
):
    primary = stack.services["postgres"]
    assert isinstance(primary, Postgres)
    copy_template(tmp_path)  # with the same password
    with Postgres(tmp_path, durable=False) as standby:
        with psycopg.connect(standby.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: is_read_only(standby.url))
        code = """
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW port")
    print(cursor.fetchone()[0])
"""
        hosts = f"{HOST}:{standby.port},{HOST}:{primary.port}"
        result = load_settings(
            code, DATABASE_URL=primary.url.replace(f"{HOST}:{primary.port}", hosts)
        )
        assert result.stdout.strip() == str(primary.port), result.stderr


@pytest.fixture
def api(managed: Managed) -> Iterator[ApiClient]:
    """A client of a stack whose profile and queue Redis can fail over."""
    with httpx.Client(base_url=managed.stack.url, timeout=20) as client:
        yield ApiClient(client)


def test_writes_reach_the_new_profile_redis_after_failover(managed: Managed, api: ApiClient):
    profiles = managed.profiles
    people = [api.sign_up() for _ in range(8)]  # connections are open
    profiles.fail_over()
    for person in people:
        assert person.patch({"name": "Grace"}).status_code == 200
    for person in people:
        assert wait_until(partial(has_new_name, person, profiles), timeout=10)
        assert wait_until(partial(reads_new_name, person), timeout=10)
    assert wait_until(lambda: api.http.get("/readyz").status_code == 200, timeout=10)
    assert profiles.primary.keys("*rate*"), "requests are counted there"
    assert people[0].request("DELETE", "sessions/current/").status_code == 204
    assert wait_until(lambda: people[0].profile().status_code == 401, timeout=10)


def reads_new_name(person: SignedUpPerson) -> bool:
    response = person.profile()
    return response.status_code == 200 and response.json()["name"] == "Grace"


def has_new_name(person: SignedUpPerson, redis: Replicated) -> bool:
    body = redis.primary.hget(f"p:{person.id.replace('-', '')}", BODY)
    return isinstance(body, bytes) and b"Grace" in body


def test_messages_use_the_new_queue_redis_after_failover(managed: Managed, api: ApiClient):
    person = api.sign_up()
    assert wait_until(lambda: person.messages("email"), timeout=120)  # connections are open
    managed.queue.fail_over()
    for _ in range(5):
        assert api.sign_up().message("email")


def test_idle_write_process_is_ready_with_the_new_profile_redis(
    stack: Stack, tmp_path: Path, django_db_access: None
):
    """Its connection to the demoted one lives on, and is not used for writes."""
    with (
        Replicated(tmp_path, "idle") as profiles,
        write_process(stack, REDIS_URL=profiles.url) as (_, url),
    ):

        def is_ready() -> bool:
            return httpx.get(f"{url}/readyz?capability=read", timeout=10).status_code == 200

        assert wait_until(is_ready, timeout=10)  # an empty Redis without a fence is trusted
        fence_to(profiles)
        profiles.fail_over()
        fence_to(profiles)  # as a relay does
        assert wait_until(is_ready, timeout=10)


def fence_to(redis: Replicated) -> None:
    for name, section, field in (
        (RUN_ID, "server", "run_id"),
        (REPLICATION_ID, "replication", "master_replid"),
    ):
        redis.primary.hset(fence_key(), name, str(redis.primary.info(section)[field]))


def test_bulk_writes_use_the_new_profile_redis_after_failover(
    tmp_path: Path, django_db_access: None, monkeypatch: pytest.MonkeyPatch
):
    from django.conf import settings

    from domain.projection.client import get_bulk_pool
    from domain.projection.redis_command import execute

    with Replicated(tmp_path, "bulk") as profiles:
        monkeypatch.setattr(settings, "REDIS_URL", profiles.url)
        pools = get_bulk_pool.__wrapped__(), get_bulk_pool.__wrapped__()
        for pool in pools:
            assert execute(pool, "SET", "key", "old") == b"OK"
        demoted = profiles.primary
        profiles.fail_over()
        assert execute(pools[0], "SET", "key", "new") == b"OK"
        # It has lost the new primary, and serves no stale data (MASTERDOWN).
        demoted.config_set("replica-serve-stale-data", "no")
        demoted.replicaof(HOST, find_free_port())
        assert execute(pools[1], "GET", "key") == b"new"
        for pool in pools:
            pool.close()
