"""What nodes of a Redis Cluster say, in the forms that their configurations give it."""

from typing import Any

import pytest

from domain.redis_cluster import (
    SLOT_COUNT,
    Node,
    Redirect,
    Topology,
    find_hash_tag,
    key_slot,
    parse_redirect,
    parse_topology,
)

INFO = b"cluster_state:ok\r\ncluster_current_epoch:7\r\ncluster_my_epoch:1\r\n"


def make_node(**fields: Any) -> dict[bytes, Any]:
    defaults = {"port": 1, "endpoint": b"a.example", "role": b"master", "health": b"online"}
    return {name.encode(): value for name, value in (defaults | fields).items()}


def flatten(fields: dict[bytes, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]


@pytest.mark.parametrize(
    ("nodes", "node"),
    [
        ([make_node()], Node("a.example", 1, ((0, 9), (20, 20)))),
        ([make_node(endpoint=None)], Node("asked.example", 1, ((0, 9), (20, 20)))),
        ([make_node(endpoint=b"?")], Node("asked.example", 1, ((0, 9), (20, 20)))),
        (
            [make_node(role=b"replica", port=2), make_node()],
            Node("a.example", 1, ((0, 9), (20, 20))),
        ),
        (
            [make_node(health=b"fail", port=2), make_node()],
            Node("a.example", 1, ((0, 9), (20, 20))),
        ),
        ([make_node(health=b"fail")], Node("a.example", 1, ((0, 9), (20, 20)))),
        ([make_node(role=b"replica")], None),
    ],
    ids=["name", "no name", "unknown name", "replica", "replaced", "failed", "no primary"],
)
def test_primary_of_a_shard_is_found(nodes: list[dict[bytes, Any]], node: Node | None):
    resp3 = {b"slots": [0, 9, 20, 20], b"nodes": nodes}
    resp2 = [b"slots", [0, 9, 20, 20], b"nodes", [flatten(each) for each in nodes]]
    for shard in (resp3, resp2):
        topology = parse_topology([INFO, [shard]], "asked.example", has_tls=False)
        assert topology == (Topology(7, [node]) if node else None)


def test_order_of_a_reply_does_not_matter():
    shards = [
        {b"slots": slots, b"nodes": [make_node(port=port)]}
        for port, slots in ((2, [20, 30, 1, 9]), (1, [40, 50]))
    ]
    topologies = [
        parse_topology([INFO, order], "", has_tls=False) for order in (shards, shards[::-1])
    ]
    assert topologies[0] == topologies[1]
    assert topologies[0] is not None
    assert topologies[0].nodes[1].ranges == ((1, 9), (20, 30))


def test_port_for_tls_is_another_one():
    shard = {b"slots": [], b"nodes": [make_node(**{"tls-port": 2})]}
    for has_tls, port in ((False, 1), (True, 2)):
        topology = parse_topology([INFO, [shard]], "", has_tls=has_tls)
        assert topology is not None
        assert topology.nodes == [Node("a.example", port)]


@pytest.mark.parametrize("reply", [None, b"", [[b"slots"]], [b"one"], Exception("ERR")])
def test_reply_of_another_kind_is_of_no_use(reply: Any):
    assert parse_topology([INFO, reply], "", has_tls=False) is None
    assert parse_topology([reply, []], "", has_tls=False) is None


@pytest.mark.parametrize(
    ("text", "redirect"),
    [
        ("MOVED 3999 127.0.0.1:6381", Redirect(("127.0.0.1", 6381), True)),
        ("ASK 3999 ::1:6381", Redirect(("::1", 6381), False)),
        ("MOVED 3999 :6381", Redirect(("asked.example", 6381), True)),
        ("MOVED 3999 127.0.0.1", None),
        ("ASKED 3999 127.0.0.1:6381", None),
        ("ERR unknown command", None),
    ],
)
def test_redirect_is_parsed(text: str, redirect: Redirect | None):
    assert parse_redirect(Exception(text), "asked.example") == redirect


def test_slots_are_those_of_the_specification():
    # CLUSTER KEYSLOT of Valkey 9.
    for key, slot in ((b"somekey", 11058), (b"foo{hash_tag}", 2515), (b"{}foo", 9500)):
        assert key_slot(key) == slot
    for slot in (0, 1, 5461, SLOT_COUNT - 1):
        assert key_slot(f"profile:fence:{{{find_hash_tag(slot)}}}".encode()) == slot
