"""Redis Sentinel and Redis Cluster for tests: they form, fail over, and keep data and roles."""

from local.redis_topologies import SentinelGroup, ValkeyCluster
from tests.conftest import LONG
from tests.support.client import wait_until


def test_sentinel_promotes_the_replica_of_a_killed_primary(tmp_path):
    with SentinelGroup(tmp_path) as group:
        first = group.primary()
        first.call("SET", "key", "value")
        assert first.call("WAIT", 1, 5_000) == 1
        first.kill()
        wait_until(lambda: group.primary() is not first, timeout=20)
        assert group.primary().call("GET", "key") == "value"
        if LONG:  # sentinels observe a primary that returns for 10 s
            first.start()
            group.wait_until_healthy(30)
            assert first.info()["role"] == "slave"


def test_a_cluster_promotes_the_replica_of_a_killed_primary_and_keeps_roles_over_a_restart(
    tmp_path,
):
    cluster = ValkeyCluster(tmp_path)
    first, replica = cluster.servers[0], cluster.servers[3]
    with cluster:
        first.call("SET", "{108}", "value")  # the slot of this key is 91
        assert first.call("WAIT", 1, 5_000) == 1
        first.kill()
        wait_until(lambda: replica.info()["role"] == "master", timeout=20)
        first.start()
        cluster.wait_until_healthy(30)
        assert first.info()["role"] == "slave"
    if LONG:  # it forms again
        with cluster:
            assert replica.call("GET", "{108}") == "value"
