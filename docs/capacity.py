"""Measures what a read, a sign-up and a person cost, on a service of its own, and prints
the tables of docs/capacity.md:

    python -m docs.capacity [--people 2000] [--reads 20000]

CPU is that of the servers, so a busy machine changes it little; requests per second it is not.
"""

import argparse
import http.client
import itertools
import json
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import psycopg
import redis

from local.commands import rollcall_commands
from local.stack import Stack
from tests.support.client import wait_until

_CLIENTS = 4
_NAMES = ("read", "profiles", "write", "worker", "relay", "postgres", "queue")
_TABLES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND (relname LIKE 'rollcall%' OR relname LIKE 'huey%')
"""


def main() -> None:
    """Measures, and prints."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=2000)
    arguments.add_argument("--reads", type=int, default=20_000)
    options = arguments.parse_args()
    commands = partial(rollcall_commands, workers=1)
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-") as folder,
        Stack(Path(folder) / "data", commands=commands) as stack,
    ):
        measure(stack, options.people, options.reads)


def measure(stack: Stack, people: int, reads: int) -> None:
    """Measures sign-ups, then reads of these people."""
    environment = stack.environment()
    profiles = redis.Redis.from_url(environment["REDIS_URL"])
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as postgres:
        tokens = sign_up_all(stack, 100)  # everything is loaded, and tables have their first page
        wait_for_outbox(postgres)
        memory, disk = used_memory(profiles), table_sizes(postgres)
        wal, cpu = read_wal(postgres), cpu_times(stack)
        tokens = sign_up_all(stack, people)
        wait_for_outbox(postgres)
        print_cpu("a sign-up with its two messages", stack, cpu, people)
        print_disk(disk, table_sizes(postgres), people, read_wal(postgres) - wal)
        print(
            f"| profile Redis, a person | {(used_memory(profiles) - memory) / people:,.0f} bytes |"
        )
    cpu = cpu_times(stack)
    read_all(stack, random.choices(tokens, k=reads))  # noqa: S311  # no secret
    print_cpu("a read, people at random", stack, cpu, reads)
    print_memory(stack)


def sign_up_all(stack: Stack, count: int) -> list[str]:
    """Signs up that many people, by four clients; returns their tokens."""
    first = time.time_ns() % 10**8
    with ThreadPoolExecutor(_CLIENTS) as threads:
        shares = [range(first + n, first + count, _CLIENTS) for n in range(_CLIENTS)]
        return list(itertools.chain(*threads.map(partial(_sign_up, stack), shares)))


def _sign_up(stack: Stack, numbers: range) -> list[str]:
    headers = {"Content-Type": "application/json"}
    tokens = []
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    for number in numbers:
        body = {"name": "Ada", "surname": "Lovelace", "hobbies": ["engines", "poetry"]}
        body |= {"email": f"ada{number}@example.com", "phone": f"+346{number % 10**8:08}"}
        connection.request("POST", "/api/v1/signup/", json.dumps(body), headers)
        response = connection.getresponse()
        document = json.loads(response.read())
        if response.status != 201:
            raise SystemExit(f"a sign-up failed: {document}")
        tokens.append(document["session"]["token"])
    connection.close()
    return tokens


def read_all(stack: Stack, tokens: list[str]) -> None:
    """Reads a profile with each token, by four clients."""
    with ThreadPoolExecutor(_CLIENTS) as threads:
        list(threads.map(partial(_read, stack), [tokens[n::_CLIENTS] for n in range(_CLIENTS)]))


def _read(stack: Stack, tokens: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    for token in tokens:
        connection.request("GET", "/api/v1/profile/", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"a read failed: {response.status}")
    connection.close()


def wait_for_outbox(postgres: psycopg.Connection) -> None:
    """Returns once every message is sent and every projection done. Fails after ten minutes."""
    unfinished = (
        "SELECT count(*) FROM rollcall_outboxentry WHERE state IN ('pending', 'queued', 'running')"
    )
    wait_until(lambda: postgres.execute(unfinished).fetchone() == (0,), timeout=600)


def cpu_times(stack: Stack) -> dict[str, float]:
    """Returns the CPU seconds of each service so far, those of its exited children included."""
    times = {}
    for name in _NAMES:
        main, *children = _processes(stack, name)
        times[name] = sum(main.cpu_times()[:4]) + sum(sum(c.cpu_times()[:2]) for c in children)
    return times


def _processes(stack: Stack, name: str) -> list[psutil.Process]:
    main = psutil.Process(stack.services[name].pid)
    return [main, *main.children(recursive=True)]


def print_cpu(what: str, stack: Stack, before: dict[str, float], count: int) -> None:
    """Prints a row for each service that used the CPU."""
    after = cpu_times(stack)
    print(f"\n| CPU of {what} | µs |\n|---|---|")
    used = {name: (after[name] - before[name]) / count * 1e6 for name in _NAMES}
    for name, microseconds in used.items():
        if microseconds >= 1:
            print(f"| {name} | {microseconds:,.0f} |")
    print(f"| all | {sum(used.values()):,.0f} |")


def print_disk(before: dict[str, int], after: dict[str, int], people: int, wal: int) -> None:
    """Prints a row for each table that has grown."""
    print("\n| Postgres, for a sign-up | bytes |\n|---|---|")
    growth = {name: (after[name] - before.get(name, 0)) / people for name in after}
    for name, size in sorted(growth.items(), key=lambda row: -row[1]):
        if size >= 1:
            print(f"| `{name}` with its indexes | {size:,.0f} |")
    print(f"| all tables | {sum(growth.values()):,.0f} |\n| WAL | {wal / people:,.0f} |")


def print_memory(stack: Stack) -> None:
    """Prints the proportional set size of each service's processes."""
    print("\n| memory of a process | MB |\n|---|---|")
    for name in ("read", "write", "worker", "relay"):
        process = _processes(stack, name)[-1]
        print(f"| {name} | {process.memory_full_info().pss / 1e6:,.0f} |")


def table_sizes(postgres: psycopg.Connection) -> dict[str, int]:
    """Returns the bytes of each table with its indexes."""
    return dict(postgres.execute(_TABLES).fetchall())


def read_wal(postgres: psycopg.Connection) -> int:
    """Returns the bytes of WAL written so far."""
    row = postgres.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
    return int(row[0]) if row else 0


def used_memory(server: redis.Redis) -> int:
    """Returns the bytes that Redis has allocated."""
    return int(server.info("memory")["used_memory"])


if __name__ == "__main__":
    main()
