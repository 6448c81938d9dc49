"""Redis users without all permissions, as managed services give them."""

import httpx
import pytest

from local.commands import rollcall_commands
from local.processes import Process
from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, extra_service, read_process, wait_until
from tests.support.redis_users import add_user, user_url
from tests.support.replicated_redis import Replicated
from tests.support.settings_process import SettingsProcess
from tests.system.conftest import Managed


@pytest.fixture
def own_stack(managed: Managed) -> Stack:
    """A stack whose processes are the user "allowed"."""
    return managed.stack


@pytest.fixture
def redis(managed: Managed) -> Replicated:
    return managed.profiles


def test_all_works_without_dangerous_commands_but_info(
    own_stack: Stack, load_settings: SettingsProcess
):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
        assert person.confirm("email").status_code == 200
        assert "ratelimit" in person.patch({"name": "Grace"}).headers
        for _ in range(5):
            assert person.profile().status_code == 200
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert person.profile().status_code == 401
    actions = ("rebuild", "verify", "repair")
    load_settings.manage(own_stack, *(("profiles", action) for action in actions))
    logs = {path.name: path.read_text() for path in (own_stack.data_dir / "logs").iterdir()}
    assert [name for name, text in logs.items() if "denied_command" in text] == []
    assert "client_cache_disabled" not in logs["read.log"]


@pytest.mark.parametrize(
    ("rules", "denied"),
    [("~* &* +@all -@dangerous", "info"), *([("~* &* +@all -hget", "hget"), ("", "")] * LONG)],
    ids=["dangerous", *(["hget", "wrong password"] * LONG)],
)
def test_missing_permission_is_named_and_fails_readyz(
    own_stack: Stack, redis: Replicated, rules: str, denied: str
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


def test_denied_read_is_named(own_stack: Stack, redis: Replicated):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
    add_user(redis, "limited", "~* &* +@all -hmget")
    with read_process(own_stack, REDIS_URL=user_url(redis, "limited")) as (read, url):
        wait_until(lambda: httpx.get(f"{url}/readyz?capability=read").status_code == 200)
        profile = httpx.get(f"{url}/api/v1/profile/", headers=person.bearer)
        assert profile.status_code == 503
        assert '"denied_command": "hmget"' in read.log_tail()


def test_relay_names_the_permission_that_it_lacks(own_stack: Stack, redis: Replicated):
    add_user(redis, "limited", "~* &* +@all -@dangerous")
    env = own_stack.environment() | {"REDIS_URL": user_url(redis, "limited")}
    argv = rollcall_commands(0, "").services["relay"]
    log = own_stack.data_dir / "logs" / "limited-relay.log"
    with Process("relay", argv, log, env=env) as relay:
        wait_until(lambda: '"denied_command": "info"' in relay.log_tail(), timeout=30)
