"""`manage.py profiles`: rebuild, verify and repair, also during live writes."""

import gc
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

import httpx
import pytest
from redis import Redis

from domain.profile import without_ended_sessions
from local.processes import wait_any
from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, problem_code, wait_until
from tests.support.faults import child_pids

MANAGE = Path(__file__).parents[3] / "manage.py"
NO_GRACE_PERIOD = ("--grace-period", "0.05")
type RunCommand = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> Iterator[None]:
    """The command collects garbage first: in a process as large as this one, for half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def run_command(*arguments: str) -> tuple[int, str]:
    """Runs the command in this process; returns its exit status and output; needs Django."""
    from django.core.management import call_command

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    thresholds = gc.get_threshold()
    output = io.StringIO()
    if "rebuild" in arguments:
        arguments += ("--processes", "1")  # it forks otherwise, and pytest has threads
    try:
        with pytest.raises(SystemExit) as exit_info:
            call_command("profiles", *arguments, stdout=output, stderr=output)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        gc.set_threshold(*thresholds)
    assert isinstance(exit_info.value.code, int)
    return exit_info.value.code, output.getvalue()


@pytest.fixture
def run(django_db_access) -> RunCommand:
    return run_command


@pytest.fixture
def consistent_redis(run: RunCommand) -> None:
    """Repairs what earlier tests have left in Redis."""
    assert run("repair", *NO_GRACE_PERIOD)[0] == 0


@pytest.fixture
def person(consistent_redis: None, api: ApiClient) -> SignedUpPerson:
    person = api.sign_up()
    person.wait_for_outbox()
    return person


@pytest.fixture
def deleted_person(consistent_redis: None, api: ApiClient) -> SignedUpPerson:
    person = api.sign_up()
    assert person.request("DELETE", "profile/").status_code == 204
    person.wait_for_outbox()
    return person


def redis_key(person: SignedUpPerson) -> str:
    return f"p:{UUID(person.id).hex}"


def redis() -> Redis:
    from tests.support.profile_redis import get_client

    return get_client()


def read_hash(person: SignedUpPerson) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], redis().hgetall(redis_key(person)))


def raise_version(person: SignedUpPerson) -> None:
    """Commits a change whose writer dies before it is projected."""
    from django.db.models import F

    from domain.postgres.models import Person

    Person.objects.filter(id=person.id).update(version=F("version") + 1, name="Grace")


def test_verify_finds_no_difference_in_consistent_data(person, deleted_person, run: RunCommand):
    status, output = run("verify", *NO_GRACE_PERIOD)
    assert status == 0
    assert "\n0 in total." in output


def test_expired_session_is_no_difference(person, run: RunCommand):
    redis().hset(redis_key(person), b"x" * 32, b"1")
    assert run("verify", *NO_GRACE_PERIOD)[0] == 0


def drop(person: SignedUpPerson) -> None:
    redis().delete(redis_key(person))


def set_field(name: bytes, value: bytes) -> Callable[[SignedUpPerson], object]:
    return lambda person: redis().hset(redis_key(person), name, value)


def drop_field(name: bytes) -> Callable[[SignedUpPerson], object]:
    return lambda person: redis().hdel(redis_key(person), name)


def drop_sessions(person: SignedUpPerson) -> None:
    for name in read_hash(person):
        if len(name) == 32:
            drop_field(name)(person)


def move_expiries(person: SignedUpPerson) -> None:
    for name in read_hash(person):
        if len(name) == 32:
            set_field(name, b"4000000000")(person)


DIFFERENCES = {
    "no hash": ("missing", drop),
    "an old hash": ("stale", raise_version),
    "another body": ("mismatch", set_field(b"b", b"{}")),
    "another ETag": ("mismatch", set_field(b"e", b'"x"')),
    "no version": ("mismatch", drop_field(b"v")),
    "no number for a version": ("mismatch", set_field(b"v", b"x")),
    "a session too many": ("mismatch", set_field(b"x" * 32, b"4000000000")),
    "a session too few": ("mismatch", drop_sessions),
    "a session that ends later": ("mismatch", move_expiries),
    "a field too many": ("mismatch", set_field(b"t", b"1")),
    "a version of the future": ("ahead", set_field(b"v", b"77")),
}


TOMBSTONES = {
    f"{name} of an erased person": name for name in ("no hash", "another body", "a field too many")
}


class Repaired(NamedTuple):
    """A person with each difference, their hashes before it and after the repair, and what the
    commands printed.
    """

    people: dict[str, SignedUpPerson]
    before: dict[str, dict[bytes, bytes]]
    after: dict[str, dict[bytes, bytes]]
    outputs: tuple[str, str]

    def kinds_of(self, difference: str) -> list[str]:
        """Returns the kind by which each of the commands has reported a difference."""
        found = re.compile(rf"^(\w+): [0-9]+ .*{self.people[difference].id}", re.MULTILINE)
        return [kind for output in self.outputs for kind in found.findall(output)]


@pytest.fixture(scope="module")
def repaired(stack: Stack, django_setup: None) -> Iterator[Repaired]:
    """All differences are there at once, and one command of each kind is run."""
    assert run_command("repair", *NO_GRACE_PERIOD)[0] == 0
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        api = ApiClient(client)
        people = {name: api.sign_up() for name in (*DIFFERENCES, *TOMBSTONES)}
        for name in TOMBSTONES:
            assert people[name].request("DELETE", "profile/").status_code == 204
        for person in people.values():
            person.wait_for_outbox()
        before = {name: read_hash(person) for name, person in people.items()}
        for name, person in people.items():
            DIFFERENCES[TOMBSTONES.get(name, name)][1](person)
        (found, verified), (left, repaired), (remaining, _) = (
            run_command(action, *NO_GRACE_PERIOD) for action in ("verify", "repair", "verify")
        )
        assert (found, left, remaining) == (1, 0, 0)
        assert f"\n{len(people)} in total." in verified
        assert f"\n{len(people)} repaired, 0 left." in repaired
        after = {name: read_hash(person) for name, person in people.items()}
        yield Repaired(people, before, after, (verified, repaired))


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_difference_is_reported_and_repaired(repaired: Repaired, difference: str):
    kind = DIFFERENCES[difference][0]
    assert repaired.kinds_of(difference) == [kind, kind]
    after = without_ended_sessions(repaired.after[difference], 0)
    assert (after == repaired.before[difference]) == (kind != "stale")
    name = repaired.people[difference].profile().json()["name"]
    assert name == ("Grace" if kind == "stale" else "Ada")


@pytest.mark.parametrize("difference", TOMBSTONES)
def test_tombstone_is_verified_and_repaired(repaired: Repaired, difference: str):
    kind = DIFFERENCES[TOMBSTONES[difference]][0]
    assert repaired.kinds_of(difference) == [kind, kind]
    assert repaired.after[difference] == repaired.before[difference]
    assert problem_code(repaired.people[difference].profile()) == "invalid_token"


def test_orphan_hash_is_deleted_and_other_keys_are_kept(person, run: RunCommand):
    orphan = uuid4()
    redis().copy(redis_key(person), f"p:{orphan.hex}")
    redis().set("p:something-else", "stays")
    status, output = run("verify", *NO_GRACE_PERIOD)
    assert status == 1
    assert f"orphan: 1 {orphan}\n" in output
    assert run("repair", *NO_GRACE_PERIOD)[0] == 0
    assert not redis().exists(f"p:{orphan.hex}")
    assert redis().getdel("p:something-else") == b"stays"


def test_first_ids_of_each_kind_are_printed(
    consistent_redis, api: ApiClient, run: RunCommand, monkeypatch
):
    people = [api.sign_up() for _ in range(3)]
    for person in people:
        person.wait_for_outbox()
        drop(person)
    monkeypatch.setattr("workers.management.commands.profiles._MAX_IDS", 2)
    output = run("verify", *NO_GRACE_PERIOD)[1]
    assert re.search(r"^missing: 3( [0-9a-f-]{36}){2}$", output, re.MULTILINE)
    assert "@" not in output
    assert "+" not in output


def test_change_in_flight_is_no_difference(person, run: RunCommand):
    from django.db import connections

    from domain.projection import writer

    def write_and_change_again() -> None:
        writer.project(UUID(person.id))
        raise_version(person)
        connections.close_all()

    raise_version(person)
    write_late = threading.Timer(0.2, write_and_change_again)
    write_late.start()
    status, _ = run("verify", "--grace-period", "3")
    write_late.join()
    assert status == 0


@pytest.mark.parametrize("action", ["rebuild", "repair"])
def test_concurrent_write_is_never_overwritten(person, run: RunCommand, monkeypatch, action: str):
    from domain.projection.redis_command import run_script

    names: list[str] = []

    def write_late(*arguments) -> list[int]:
        if not names:
            assert person.patch({"name": "Grace"}).status_code == 200
        written = run_script(*arguments)
        names.append(person.profile().json()["name"])
        return written

    redis().hset(redis_key(person), b"b", b"{}")
    with monkeypatch.context() as patch:
        module = "repair" if action == "repair" else "writer"
        patch.setattr(f"domain.projection.{module}.run_script", write_late)
        assert run(action)[0] == 0
    assert set(names) == {"Grace"}


def test_concurrent_first_write_is_never_overwritten(person, run: RunCommand, monkeypatch):
    from domain.projection.redis_command import execute_pipeline

    def write_late(pool, commands) -> list[int]:
        commands = list(commands)
        assert person.patch({"name": "Grace"}).status_code == 200
        created = execute_pipeline(pool, commands)
        assert person.profile().json()["name"] == "Grace"
        return created

    drop(person)
    with monkeypatch.context() as patch:
        patch.setattr("domain.projection.writer.execute_pipeline", write_late)
        assert run("rebuild")[0] == 0
    assert run("verify", *NO_GRACE_PERIOD)[0] == 0


def test_rebuild_uses_scripts_if_hsetex_is_not_available(person, deleted_person, run: RunCommand):
    before = [read_hash(person), read_hash(deleted_person)]
    redis().flushdb()
    redis().acl_setuser("default", enabled=True, nopass=True, commands=["-hsetex"])
    try:
        status, output = run("rebuild")
    finally:
        redis().acl_setuser("default", enabled=True, nopass=True, commands=["+hsetex"])
    assert status == 0
    assert ": 0 profiles written" not in output
    assert [read_hash(person), read_hash(deleted_person)] == before


def test_rebuild_of_an_empty_redis_writes_identical_bytes(person, deleted_person, run: RunCommand):
    before = [read_hash(person), read_hash(deleted_person)]
    redis().flushdb()
    status, output = run("rebuild")
    assert status == 0
    assert "per second" in output
    assert [read_hash(person), read_hash(deleted_person)] == before
    assert run("verify", *NO_GRACE_PERIOD)[0] == 0


def test_rebuilt_hash_has_the_ten_newest_active_sessions(person, run: RunCommand):
    from datetime import UTC, datetime, timedelta

    from domain.postgres.models import Session

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for number in range(12):
        expires_at = tomorrow if number != 5 else datetime.now(UTC)
        Session.objects.create(
            person_id=person.id, digest=os.urandom(31) + bytes([number]), expires_at=expires_at
        )
    drop(person)
    run("rebuild")
    numbers = [name[31] for name in read_hash(person) if len(name) == 32]
    assert numbers == [11, 10, 9, 8, 7, 6, 4, 3, 2, 1]


def test_interrupted_rebuild_resumes_after_its_cursor(
    consistent_redis, api: ApiClient, run: RunCommand, monkeypatch
):
    from domain.projection import people_pages, writer

    people = sorted([api.sign_up() for _ in range(6)], key=lambda person: UUID(person.id))
    for person in people:
        person.wait_for_outbox()
    write_profiles = writer.write_profiles

    def interrupt(page) -> int:
        if str(page[0].id) == people[3].id:
            os.kill(os.getpid(), signal.SIGINT)
        return write_profiles(page)

    with monkeypatch.context() as patch:
        patch.setattr(people_pages, "PAGE_SIZE", 1)
        patch.setattr(writer, "write_profiles", interrupt)
        redis().flushdb()
        status, output = run("rebuild")
    assert status == 2
    assert "Stopped." in output
    cursor = output.split("--resume-after ")[1].strip()
    redis().flushdb()
    assert run("rebuild", "--resume-after", cursor)[0] == 0
    is_stored = [bool(read_hash(person)) for person in people]
    assert is_stored == [UUID(person.id) > UUID(cursor) for person in people]
    assert set(is_stored) == {True, False}
    assert run("rebuild")[0] == 0


def test_rebuild_does_not_restore_a_revoked_session(
    person, api: ApiClient, run: RunCommand, monkeypatch
):
    from domain.projection import writer

    write_profiles = writer.write_profiles

    def write_late(page) -> int:
        """What was read before the sign-out is written when Redis has forgotten it."""
        if read_hash(person):
            assert person.request("DELETE", "sessions/current/").status_code == 204
            redis().flushdb()
        return write_profiles(page)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_profiles", write_late)
        assert run("rebuild")[0] == 0
    assert problem_code(person.profile()) == "invalid_token"
    assert run("rebuild")[0] == 0
    assert problem_code(person.profile()) == "invalid_token"


def test_rebuild_by_several_processes_resumes_where_it_was_stopped(
    consistent_redis, stack, api: ApiClient, run: RunCommand
):
    """Postgres locks the table of people until the rebuild has been stopped."""
    from django.db import connection, transaction

    people = [api.sign_up() for _ in range(6)]
    for person in people:
        person.wait_for_outbox()
    hashes = [read_hash(person) for person in people]
    redis().flushdb()
    argv = [sys.executable, str(MANAGE), "profiles", "rebuild", "--processes", "2"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE rollcall_person")
        env = stack.environment() | {"PGAPPNAME": "rebuild"}
        with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as rebuild:
            wait_until(lambda: is_waiting_for_lock(cursor), timeout=30)
            os.kill(rebuild.pid, signal.SIGTERM)
            cursor.execute("COMMIT")
            assert rebuild.stderr is not None
            output = rebuild.stderr.read().decode()
    assert "Stopped." in output
    resume = output.split("rebuild ")[1].split()
    assert run("rebuild", *resume)[0] == 0
    resumed_after = UUID(resume[1])
    assert [
        read_hash(person) == stored
        for person, stored in zip(people, hashes, strict=True)
        if UUID(person.id) > resumed_after
    ] == [True] * sum(UUID(person.id) > resumed_after for person in people)


def test_processes_of_a_killed_rebuild_exit(consistent_redis, stack, api: ApiClient):
    from django.db import connection, transaction

    argv = [sys.executable, str(MANAGE), "profiles", "rebuild", "--processes", "2"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE rollcall_person")
        rebuild = subprocess.Popen(argv, env=stack.environment() | {"PGAPPNAME": "rebuild"})
        wait_until(lambda: is_waiting_for_lock(cursor), timeout=30)
        children = [os.pidfd_open(pid) for pid in child_pids(rebuild.pid)]
        assert len(children) == 2
        rebuild.kill()
        rebuild.wait()
        for child in children:
            assert wait_any([child], timeout=10)
            os.close(child)


def is_waiting_for_lock(cursor: Any) -> bool:
    """Returns whether both processes of a rebuild wait for the table of people."""
    cursor.execute("SELECT pg_stat_clear_snapshot()")  # else it is that of the transaction's start
    cursor.execute(
        "SELECT count(*) = 2 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
        " AND relation = 'rollcall_person'::regclass AND application_name = 'rebuild'"
    )
    (waiting,) = cursor.fetchone()
    return bool(waiting)


@pytest.mark.parametrize("service", ["postgres", "profiles"])
def test_unavailable_server_is_reported_in_one_sentence(stack, run: RunCommand, service: str):
    stack.services[service].stop()
    try:
        results = [run(action) for action in ("rebuild", "verify")]
    finally:
        stack.services[service].start()
        stack.wait_until_ready()
    expected = (
        "Postgres is unavailable" if service == "postgres" else "The profile Redis is unavailable"
    )
    for status, output in results:
        assert status == 2
        assert [line for line in output.splitlines() if line.startswith(expected)], output
    assert "--resume-after " in results[0][1]


def test_live_writes_are_never_overwritten_by_older_ones(
    consistent_redis, stack, api: ApiClient, run: RunCommand
):
    people = [api.sign_up() for _ in range(3)]
    changes = [0] * len(people)
    stopped = threading.Event()

    def keep_changing(index: int) -> None:
        person = people[index]
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            person.api = ApiClient(client)
            while not stopped.is_set():
                name = f"Ada {changes[index]}"
                assert person.patch({"name": name}).status_code == 200
                assert person.profile().json()["name"] == name
                changes[index] += 1

    results: list[tuple[int, str]] = []
    with ThreadPoolExecutor(len(people)) as writers:
        writing = [writers.submit(keep_changing, index) for index in range(len(people))]
        try:
            while len(results) < (60 if LONG else 4) or (
                min(changes) < 5 and not any(future.done() for future in writing)
            ):
                results += [run("rebuild"), run("verify")]
            results.append(run("repair"))
        finally:
            stopped.set()
        for future in writing:
            future.result()
    assert {status for status, _ in results} == {0}, results
    assert run("verify")[0] == 0
