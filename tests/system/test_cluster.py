"""Redis Cluster: profiles are spread over primaries, which move slots, fail and are replaced."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from redis import Redis

from domain.profile import redis_key
from domain.redis_cluster import find_hash_tag, key_slot
from local.redis_topologies import ReplicatedValkey, ValkeyCluster
from local.stack import Stack
from local.tcp_ports import HOST
from tests.conftest import LONG
from tests.support.backends import Backend
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.faults import resume, suspend
from tests.support.redis_users import ALLOWED
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import extra_stack
from tests.support.traffic import Traffic

_MAX_GAP = 5.0  # seconds from a promotion until reads are back


class Service(NamedTuple):
    """A service whose profiles are in a Cluster."""

    api: ApiClient
    stack: Stack
    cluster: ValkeyCluster


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("cluster")
    with ValkeyCluster(folder / "redis") as cluster:
        for server in cluster.servers:
            allow_user(server)
        url = cluster.url.replace("//", "//allowed:pass@")
        with (
            extra_stack(folder / "stack", REDIS_URL=url) as stack,
            httpx.Client(base_url=stack.url, timeout=20) as client,
        ):
            yield Service(ApiClient(client), stack, cluster)


def allow_user(server: ReplicatedValkey) -> None:
    server.call("ACL", "SETUSER", "allowed", "on", ">pass", *ALLOWED.split())


def slot_of(person: SignedUpPerson) -> int:
    return key_slot(redis_key(UUID(person.id)).encode())


def is_readable(person: SignedUpPerson) -> bool:
    return person.profile().status_code == 200


def owner(cluster: ValkeyCluster, slot: int) -> ReplicatedValkey:
    """Returns the primary that serves a slot, by the cluster's own knowledge."""
    for first, last, (_, port, *_), *_ in cluster.servers[0].call("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return next(server for server in cluster.servers if server.port == port)
    raise LookupError(slot)


def sign_up_everywhere(service: Service, count: int = 8) -> list[SignedUpPerson]:
    """Signs up people until each primary has some of them; returns all."""
    people = [service.api.sign_up() for _ in range(count)]
    while len({owner(service.cluster, slot_of(person)).port for person in people}) < 3:
        people.append(service.api.sign_up())
    for person in people:
        wait_until(partial(is_readable, person))
    return people


def test_profiles_are_spread_over_all_primaries(service: Service):
    people = sign_up_everywhere(service)
    for person in people:
        key = redis_key(UUID(person.id))
        assert owner(service.cluster, slot_of(person)).call("EXISTS", key) == 1
    for person in people:
        for _ in range(3):  # cached by the reader
            assert person.profile().json()["name"] == "Ada"
        assert person.patch({"name": "Grace"}).status_code == 200
        assert person.profile().json()["name"] == "Grace"
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert person.profile().status_code == 401


class SlotMove:
    """Moves a slot with its keys to another primary, in the steps of `valkey-cli --cluster`."""

    def __init__(self, cluster: ValkeyCluster, slot: int, target: ReplicatedValkey) -> None:
        self._servers = cluster.servers
        self._slot = slot
        self._target = target
        self._source = owner(cluster, slot)
        self._target_id = target.call("CLUSTER", "MYID")

    def start(self) -> None:
        """From now on the source redirects what it does not have to the target (ASK)."""
        source_id = self._source.call("CLUSTER", "MYID")
        self._target.call("CLUSTER", "SETSLOT", self._slot, "IMPORTING", source_id)
        self._source.call("CLUSTER", "SETSLOT", self._slot, "MIGRATING", self._target_id)
        for key in self._source.call("CLUSTER", "GETKEYSINSLOT", self._slot, 1_000):
            self._source.call("MIGRATE", HOST, self._target.port, key, 0, 5_000)

    def finish(self) -> None:
        """Returns once all nodes know the new owner (MOVED)."""
        for server in (self._target, self._source):
            server.call("CLUSTER", "SETSLOT", self._slot, "NODE", self._target_id)
        for server in self._servers:
            wait_until(partial(self._is_known_to, server))

    def finish_atomically(self) -> None:
        """Does all in one step, as Valkey 9 can; returns as `finish`."""
        arguments = ("SLOTSRANGE", self._slot, self._slot, "NODE", self._target_id)
        self._source.call("CLUSTER", "MIGRATESLOTS", *arguments)
        for server in self._servers:
            wait_until(partial(self._is_known_to, server))

    def _is_known_to(self, server: ReplicatedValkey) -> bool:
        return any(
            first <= self._slot <= last and primary[1] == self._target.port
            for first, last, primary, *_ in server.call("CLUSTER", "SLOTS")
        )


def count_errors(cluster: ValkeyCluster, code: str) -> int:
    """Returns how often the servers have replied with an error."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Redis(port=server.port)) for server in cluster.servers]
        errors: list[Any] = [client.info("errorstats") for client in clients]
    return sum(each.get(f"errorstat_{code}", {"count": 0})["count"] for each in errors)


def test_slots_move_under_load_without_a_failed_read(service: Service):
    api, _, cluster = service
    people = sign_up_everywhere(service, 16)
    source, target = cluster.servers[0], cluster.servers[1]
    while [owner(cluster, slot_of(person)) for person in people].count(source) < 4:
        people.append(api.sign_up())
    *movers, last = [person for person in people if owner(cluster, slot_of(person)) is source][:4]
    # The lowest slot, with the fence and the backfill queue, becomes the lowest one of the target.
    slots = [0, *map(slot_of, movers), 1]
    asked, moved = (count_errors(cluster, code) for code in ("ASK", "MOVED"))
    with Traffic(api, people) as traffic:
        for number, slot in enumerate(slots):
            move = SlotMove(cluster, slot, target)
            move.start()
            traffic.wait_until_all_are_read(timeout=5)
            if slot in map(slot_of, movers[1:]):
                person = movers[number - 1]
                assert person.patch({"name": "Grace"}).status_code == 200
                assert person.profile().json()["name"] == "Grace"
            move.finish()
            traffic.wait_until_all_are_read(timeout=5)
        SlotMove(cluster, slot_of(last), target).finish_atomically()
        rename(last)
        # All readers use the new map, and the relay has written the fences to the new lowest slots.
        wait_until(lambda: target.call("EXISTS", f"profile:fence:{{{find_hash_tag(0)}}}"))
        traffic.wait_until_all_are_read(timeout=5)
    assert not traffic.failed_reads()
    assert count_errors(cluster, "ASK") > asked
    assert count_errors(cluster, "MOVED") > moved
    for person in people:
        is_renamed = person in (*movers[1:], last)
        assert person.profile().json()["name"] == ("Grace" if is_renamed else "Ada")
    for person in movers:
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert person.profile().status_code == 401
    for person in traffic.sign_ups:
        wait_until(partial(is_readable, person))
    assert wait_until(lambda: api.http.get("/readyz").status_code == 200)


def test_backend_introspects_people_of_all_primaries_while_a_slot_moves(
    service: Service, load_settings: SettingsProcess
):
    api, stack, cluster = service
    key = load_settings.manage(stack, ("backends", "make", "shop")).split()[0]
    backend = Backend(api.http, "shop", key)
    people = sign_up_everywhere(service)
    tokens, ids = [person.token for person in people], [person.id for person in people]
    wait_until(lambda: backend.status() == 200)
    source = owner(cluster, slot_of(people[0]))
    move = SlotMove(
        cluster, slot_of(people[0]), next(s for s in cluster.servers if s is not source)
    )
    steps: list[Callable[[], None]] = [move.start, move.finish]
    for step in steps:
        step()
        assert [state["sub"] for state in backend.introspect_all(tokens)] == ids
        assert [backend.introspect(token)["sub"] for token in tokens] == ids
    load_settings.manage(stack, ("backends", "end", "shop"))
    wait_until(lambda: backend.status() == 401)


def test_slot_that_no_primary_serves_is_unavailable_at_once(service: Service):
    cluster = service.cluster
    people = sign_up_everywhere(service)
    person = people[0]
    slot = slot_of(person)
    primary = owner(cluster, slot)
    others = [each for each in people if slot_of(each) != slot]
    for server in cluster.servers:
        server.call("CLUSTER", "DELSLOTS", slot)
    try:
        wait_until(lambda: person.profile().status_code == 503)
        started_at = time.monotonic()
        assert person.profile().status_code == 503
        assert time.monotonic() - started_at < 0.2
        assert all(map(is_readable, others))
    finally:
        primary.call("CLUSTER", "ADDSLOTS", slot)
        for server in cluster.servers:
            wait_until(partial(knows_slot, server, slot))
    wait_until(partial(is_readable, person), timeout=_MAX_GAP)


def knows_slot(server: ReplicatedValkey, slot: int) -> bool:
    return any(first <= slot <= last for first, last, *_ in server.call("CLUSTER", "SLOTS"))


@pytest.mark.parametrize("fault", [ReplicatedValkey.kill, *([suspend] if LONG else [])])
def test_reads_go_on_while_a_primary_is_replaced(service: Service, fault, record_property):
    api, _, cluster = service
    people = sign_up_everywhere(service)
    first = owner(cluster, slot_of(people[0]))
    replica = next(
        server
        for server in cluster.servers
        if server.info()["role"] == "slave" and server.info()["master_port"] == first.port
    )
    own = [person for person in people if owner(cluster, slot_of(person)) is first]
    others = [person for person in people if person not in own]
    with Traffic(api, people) as traffic:
        traffic.wait_until_all_are_read(timeout=5)
        failed_at = time.monotonic()
        fault(first)
        rename(others[0])
        wait_until(lambda: replica.info()["role"] == "master", timeout=20)
        promoted_at = time.monotonic()
        traffic.wait_until_all_are_read(timeout=_MAX_GAP)
        for person in own:
            rename(person)
        restore(first)
        cluster.wait_until_healthy(30)
        returned_at = time.monotonic()
        traffic.wait_until_all_are_read(timeout=_MAX_GAP)
    assert {read.person.id for read in traffic.failed_reads(failed_at)} <= {p.id for p in own}
    late = [read for read in traffic.reads if read.at > returned_at]
    assert all(read.status == 200 for read in late)
    assert {read.name for read in late if read.person in own} == {"Grace"}
    gap = traffic.longest_gap(promoted_at)
    assert gap < _MAX_GAP
    summary = f"Cluster, {fault.__name__}: longest gap in reads {gap:.1f} s after the promotion"
    record_property("summary", summary)
    for person in traffic.sign_ups:
        wait_until(partial(is_readable, person))


def rename(person: SignedUpPerson) -> None:
    assert person.patch({"name": "Grace"}).status_code == 200
    wait_until(partial(is_readable, person))
    assert person.profile().json()["name"] == "Grace"


def restore(server: ReplicatedValkey) -> None:
    """Has a killed or suspended server run again, as it was."""
    resume(server)
    if not server.is_running:
        server.start()
        allow_user(server)


def test_profiles_of_a_cluster_are_rebuilt_verified_and_repaired(
    service: Service, load_settings: SettingsProcess
):
    people = sign_up_everywhere(service)
    for server in service.cluster.servers:
        if server.info()["role"] == "master":
            server.call("FLUSHALL")
    load_settings.manage(service.stack, ("profiles", "rebuild"))
    orphan, changed = redis_key(uuid4()), redis_key(UUID(people[0].id))
    owner(service.cluster, key_slot(orphan.encode())).call("HSET", orphan, "v", 1, "b", "{}")
    owner(service.cluster, slot_of(people[0])).call("HSET", changed, "b", "{}")
    commands = [("profiles", each, "--grace-period", "0.5") for each in ("verify", "repair")]
    output = load_settings.manage(service.stack, *commands, status=1)
    assert "orphan: 1" in output
    assert "mismatch: 1" in output
    assert "2 repaired, 0 left." in output
    assert all(map(is_readable, people))
