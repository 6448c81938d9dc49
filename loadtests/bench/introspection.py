"""Introspection by a backend, beside reads of the same profiles: single tokens, and a thousand in
one call.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from redis import Redis

from domain import backend_keys
from domain.backend_keys import IDENTITY, KEYS, VERSION, KeySet
from domain.model.backend_key import issue_key, key_digest
from loadtests import resource_usage
from loadtests.bench.config import Config
from loadtests.bench.fixtures import new_dataset, start_server, warm_up
from loadtests.bench.load import CONNECTIONS, OTHERS_CORE, generator_argv, measure
from loadtests.bench.paired_rounds import Target, ratio, run_interleaved
from loadtests.bench.report import Section, table
from loadtests.bench.servers import Server, rollcall
from loadtests.bench.toolchain import pinned_to_core
from loadtests.http_client import Connection, Origin
from loadtests.percentiles import percentile
from local.processes import Process, StackError
from local.tcp_ports import HOST

_READ, _PLAIN, _WITH_CLAIMS = "reads", "introspections", "introspections-with-claims"
_TITLES = {_READ: "read", _PLAIN: "introspection", _WITH_CLAIMS: "with claims"}
_LIMIT = 1.1  # CPU of an introspection, divided by that of a read
_BATCH, _BATCH_LIMIT = 1_000, 20.0  # tokens; ms
_RATE = 200  # reads a second beside the calls


def run(config: Config, folder: Path) -> list[Section]:
    """Measures reads and introspections of one server in interleaved rounds; then the calls with a
    thousand tokens, alone and beside reads.
    """
    with ExitStack() as stack:
        dataset = stack.enter_context(new_dataset(config.people, folder))
        key = issue_key()
        with Redis.from_url(dataset.redis.url) as redis:
            _write_key(redis, key)
        server = rollcall(dataset, folder)
        start_server(server, stack)
        warm_up(server, config.warm_up, folder)
        return [
            *(_compare(server, key, config, folder, size) for size in (None, config.hot)),
            _measure_batches(server, key, config, folder),
        ]


def _write_key(redis: Redis, key: str) -> None:
    """Writes a set of one key, as the relay does (which is not run here)."""
    identity = f"{redis.info('server')['run_id']}:{redis.info('replication')['master_replid']}"
    keys = backend_keys.encode_keys(KeySet(1, {key_digest(key): None}))
    fields = (IDENTITY, identity, VERSION, 1, KEYS, keys)
    redis.hset(backend_keys.redis_key(), items=list(fields))


def _compare(
    server: Server, key: str, config: Config, folder: Path, hot_set_size: int | None
) -> Section:
    size = hot_set_size or server.dataset.people

    def measure_one(kind: str) -> Any:
        options = {"seconds": config.seconds, "hot_set_size": size, "connections": CONNECTIONS}
        argv = generator_argv(kind, server.port, server.dataset.tokens, **options, backend_key=key)
        return measure(server, config.seconds, folder, argv=argv)

    rounds = run_interleaved(list(_TITLES), config.rounds, measure_one)
    costs = [[one.both_us for one in measured] for measured in rounds]
    rows = [
        [
            title,
            *(f"{median(getattr(one, name) for one in measured):.2f}" for name in _COLUMNS),
            str(ratio(cost, costs[0])),
        ]
        for title, measured, cost in zip(_TITLES.values(), rounds, costs, strict=True)
    ]
    people = "people who are looked up often" if hot_set_size else "tokens at random"
    targets = [
        Target(
            f"{title}, {people}: server + Redis, to a read", ratio(cost, costs[0]).median, _LIMIT
        )
        for title, cost in zip(_TITLES.values(), costs, strict=True)
        if title != _TITLES[_READ]
    ]
    headings = ["", "server", "Redis", "p50 ms", "p99 ms", "both, to a read"]
    return Section(
        f"Introspection, {people}: {size:,} of them, {CONNECTIONS} connections, one process,"
        f" {config.rounds} rounds of {config.seconds:g} s; CPU in µs each",
        table(headings, rows),
        targets,
        {title: [asdict(one) for one in own] for title, own in zip(_TITLES, rounds, strict=True)},
    )


_COLUMNS = ("server_us", "redis_us", "p50_ms", "p99_ms")


def _measure_batches(server: Server, key: str, config: Config, folder: Path) -> Section:
    """Measures calls with a thousand tokens, one after the other, and reads without and beside."""
    bodies = _batches(server, key)
    alone = _read(server, config, folder)
    beside = _read_beside_calls(server, bodies[False], config, folder)
    calls = {each: _call(server, bodies[each]) for each in (False, True)}
    rows = [
        [
            "with claims" if with_claims else "without claims",
            *(f"{percentile(latencies, quantile):.1f}" for quantile in (0.5, 0.99)),
            f"{cpu_us:.1f}",
        ]
        for with_claims, (latencies, cpu_us) in calls.items()
    ]
    reads = [
        f"reads at {_RATE} a second, {title}: p50 {percentile(own, 0.5):.2f} ms,"
        f" p99 {percentile(own, 0.99):.2f} ms"
        for title, own in (("alone", alone), ("beside such calls", beside))
    ]
    targets = [
        Target(f"{_BATCH:,} tokens in one call, {row[0]}: p50", float(row[1]), _BATCH_LIMIT, " ms")
        for row in rows
    ]
    headings = ["", "p50 ms", "p99 ms", "server, µs a token"]
    title = f"{_BATCH:,} tokens in one call, {len(bodies[True])} calls one after the other"
    return Section(title, [*table(headings, rows), "", *reads], targets)


def _batches(server: Server, key: str) -> dict[bool, list[bytes]]:
    """Returns requests with a thousand tokens each, without and with claims."""
    lines = server.dataset.tokens.read_text().split()
    batches = [lines[at : at + _BATCH] for at in range(0, len(lines) - _BATCH + 1, _BATCH)][:50]

    def encode(tokens: list[str], *, with_claims: bool) -> bytes:
        body = orjson.dumps({"tokens": tokens, "claims": with_claims})
        head = (
            f"POST /api/v1/introspect/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return {
        each: [encode(tokens, with_claims=each) for tokens in batches] for each in (False, True)
    }


def _call(server: Server, requests: list[bytes]) -> tuple[list[float], float]:
    """Returns the latencies of calls in ms, and µs of the server's CPU a token.

    Raises `StackError` if one fails.
    """
    latencies = []
    before = resource_usage.cpu_seconds(server.pids)
    connection = Connection(Origin("http", HOST, server.port))
    with pinned_to_core(OTHERS_CORE):
        for request in requests:
            started_at = time.monotonic()
            status, body = connection.request(request)
            latencies.append((time.monotonic() - started_at) * 1000)
            if status != 200 or body.count(b'"active":true') != _BATCH:
                raise StackError(f"a call with {_BATCH} tokens failed: {status}")
    connection.close()
    cpu = resource_usage.cpu_seconds(server.pids) - before
    return latencies, cpu * 1e6 / _BATCH / len(requests)


def _read(server: Server, config: Config, folder: Path) -> list[float]:
    """Reads at a constant rate; returns the latencies in ms. Raises `StackError` if one fails."""
    out = folder / "reads.json"
    argv = [sys.executable, "-m", "loadtests.bench.paced_reads", f"--port={server.port}"]
    argv += [f"--tokens={server.dataset.tokens}", f"--out={out}", f"--rate={_RATE}"]
    argv.append(f"--seconds={config.mixed_load_seconds}")
    with pinned_to_core(OTHERS_CORE):
        Process("reads", argv, folder / "reads.log").run(config.mixed_load_seconds + 60)
    results = orjson.loads(out.read_bytes())
    if results["failed"]:
        raise StackError(f"{results['failed']} reads beside calls failed")
    latencies: list[float] = results["latencies_ms"]
    return latencies


def _read_beside_calls(
    server: Server, bodies: list[bytes], config: Config, folder: Path
) -> list[float]:
    """Does what `_read` does, while one client makes calls without pause."""
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            _call(server, bodies[:5])

    with ThreadPoolExecutor(1) as executor:
        calls = executor.submit(call)
        try:
            return _read(server, config, folder)
        finally:
            done.set()
            calls.result()
