"""Redis users without all permissions, as managed services give them."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from local.commands import rollcall_commands
from local.processes import Process
from local.servers import Valkey
from local.stack import Stack
from tests.support.client import ApiClient, extra_service, read_process, wait_until
from tests.support.stacks import extra_stack

# What docs/operations.md names.
ALLOWED = "~* &* +@all -@dangerous +info"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Redis for profiles and queue, with the user "allowed"."""
    with Valkey(tmp_path_factory.mktemp("acl"), "profiles") as server:
        add_user(server, "allowed", ALLOWED)
        yield server


@pytest.fixture(scope="module")
def own_stack(redis: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose processes are that user."""
    url = user_url(redis, "allowed")
    folder = tmp_path_factory.mktemp("permissions")
    with extra_stack(folder, REDIS_URL=url, QUEUE_URL=url.removesuffix("0") + "1") as stack:
        yield stack


def add_user(server: Valkey, name: str, rules: str) -> None:
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", name, "reset", "on", ">pass", *rules.split())


def user_url(server: Valkey, name: str) -> str:
    return server.url.replace("//", f"//{name}:pass@")


def test_all_works_without_dangerous_commands_but_info(own_stack: Stack):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
        assert person.confirm("email").status_code == 200
        assert "ratelimit" in person.patch({"name": "Grace"}).headers
        for _ in range(5):
            assert person.profile().status_code == 200
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert person.profile().status_code == 401
    for command in ("rebuild", "verify", "repair"):
        argv = [sys.executable, "manage.py", "profiles", command]
        subprocess.run(argv, env=own_stack.environment(), check=True, timeout=60)
    logs = {path.name: path.read_text() for path in (own_stack.data_dir / "logs").iterdir()}
    assert [name for name, text in logs.items() if "denied_command" in text] == []
    assert "client_cache_disabled" not in logs["read.log"]


@pytest.mark.parametrize(
    ("rules", "denied"),
    [("~* &* +@all -@dangerous", "info"), ("~* &* +@all -hget", "hget"), ("", "")],
    ids=["dangerous", "hget", "wrong password"],
)
def test_missing_permission_is_named_and_fails_readyz(
    own_stack: Stack, redis: Valkey, rules: str, denied: str
):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
    if rules:
        add_user(redis, "limited", rules)
    url = user_url(redis, "limited" if rules else "nobody")
    with extra_service(own_stack, REDIS_URL=url) as (read, service_url):
        response = httpx.get(f"{service_url}/readyz?capability=read", timeout=10)
        assert (response.status_code, response.json()["read"]) == (503, "misconfigured")
        profile = httpx.get(f"{service_url}/api/v1/profile/", headers=person.bearer)
        assert profile.status_code == 503
        assert profile.headers["retry-after"]
        both = httpx.get(f"{service_url}/readyz", timeout=10)
        assert (both.status_code, both.json()["read"]) == (503, "misconfigured")
        assert (f'"denied_command": "{denied}"' if denied else "WRONGPASS") in read.log_tail()


def test_denied_read_is_named(own_stack: Stack, redis: Valkey):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
    add_user(redis, "limited", "~* &* +@all -hmget")
    with read_process(own_stack, REDIS_URL=user_url(redis, "limited")) as (read, url):
        wait_until(lambda: httpx.get(f"{url}/readyz?capability=read").status_code == 200)
        profile = httpx.get(f"{url}/api/v1/profile/", headers=person.bearer)
        assert profile.status_code == 503
        assert '"denied_command": "hmget"' in read.log_tail()


def test_relay_names_the_permission_that_it_lacks(own_stack: Stack, redis: Valkey):
    add_user(redis, "limited", "~* &* +@all -@dangerous")
    env = own_stack.environment() | {"REDIS_URL": user_url(redis, "limited")}
    argv = rollcall_commands(0, "").services["relay"]
    log = own_stack.data_dir / "logs" / "limited-relay.log"
    with Process("relay", argv, log, env=env) as relay:
        wait_until(lambda: '"denied_command": "info"' in relay.log_tail(), timeout=30)
