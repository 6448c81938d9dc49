"""Redis Sentinel: profiles and queue follow the primary, through every way in which it changes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import httpx
import pytest

from domain.profile import BODY
from local.redis_topologies import SERVICE_NAME, ReplicatedValkey, SentinelGroup
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.faults import resume, suspend
from tests.support.stacks import extra_stack
from tests.support.traffic import Traffic

_MAX_GAP = 5.0  # seconds from a promotion until reads are back


class Service(NamedTuple):
    """A service whose profiles and queue are in a group of servers with Sentinels."""

    api: ApiClient
    group: SentinelGroup


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sentinel")
    with SentinelGroup(folder / "redis") as group:
        urls = {"REDIS_URL": group.url, "QUEUE_URL": f"{group.url}?db=1"}
        with (
            extra_stack(folder / "stack", **urls) as stack,
            httpx.Client(base_url=stack.url, timeout=20) as client,
        ):
            yield Service(ApiClient(client), group)


def fail_over(group: SentinelGroup, primary: ReplicatedValkey) -> None:
    group.sentinels[0].call("SENTINEL", "FAILOVER", SERVICE_NAME)


def kill(group: SentinelGroup, primary: ReplicatedValkey) -> None:
    primary.kill()


def suspend_with_sentinel(group: SentinelGroup, primary: ReplicatedValkey) -> None:
    """As when a machine is frozen that also runs a Sentinel, the first that clients ask."""
    suspend(group.sentinels[0])
    suspend(primary)


@contextmanager
def healed(group: SentinelGroup) -> Iterator[None]:
    """Ends every fault after the block."""
    try:
        yield
    finally:
        for process in group.processes:
            resume(process)
            if not process.is_running:
                process.start()


def is_readable(person: SignedUpPerson) -> bool:
    return person.profile().status_code == 200


_FAULTS = [suspend_with_sentinel, *([fail_over, kill] if LONG else [])]


@pytest.mark.parametrize("fault", _FAULTS)
def test_service_goes_on_when_the_primary_changes(
    service: Service, fault: Callable[[SentinelGroup, ReplicatedValkey], None], record_property
):
    api, group = service
    group.wait_until_healthy(30)
    people = [api.sign_up() for _ in range(10 if LONG else 5)]
    for person in people:
        wait_until(partial(is_readable, person))
    first = group.primary()
    second = next(server for server in group.servers if server is not first)
    with Traffic(api, people) as traffic, healed(group):
        wait_until(lambda: len(traffic.reads) > 50)
        fault(group, first)
        wait_until(lambda: second.info()["role"] == "master", timeout=30)
        promoted_at = time.monotonic()
        traffic.wait_until_all_are_read(timeout=_MAX_GAP)
        for person in people:
            assert person.patch({"name": "Grace"}).status_code == 200
        key = f"p:{people[0].id.replace('-', '')}"
        wait_until(lambda: "Grace" in (second.call("HGET", key, BODY) or ""), timeout=10)
        ended = people.pop()
        wait_until(lambda: ended.request("DELETE", "sessions/current/").status_code == 204, 10)
    # The old primary is back, and for a moment does not know that it is none.
    returned_at = time.monotonic()
    with Traffic(api, people) as after:
        wait_until(lambda: first.info()["role"] == "slave", timeout=30)
        after.wait_until_all_are_read(timeout=_MAX_GAP)
        assert ended.profile().status_code == 401
    assert not after.failed_reads(returned_at)
    assert {read.name for read in after.reads} == {"Grace"}
    gap = traffic.longest_gap(promoted_at)
    assert gap < _MAX_GAP
    record_property(
        "summary", f"Sentinel, {fault.__name__}: longest gap in reads {gap:.1f} s after a promotion"
    )
    for person in (*people, *traffic.sign_ups, *after.sign_ups):
        assert person.message("email")
        assert person.message("phone")
