"""`manage.py profiles`: Redis made anew from Postgres, compared with it, mended; beside traffic."""

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
from typing import cast
from uuid import UUID, uuid4

import httpx
import pytest
from redis import Redis

from tests.someone import Rollcall, Someone, code_of

SOON = ("--patience", "0.05")
type Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(django_here) -> Iterator[Run]:
    """The command in this process: its exit status, and all that it said."""
    from django.core.management import call_command

    def command(*words: str) -> tuple[int, str]:
        said = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("profiles", *words, stdout=said, stderr=said)
        assert isinstance(end.value.code, int)
        return end.value.code, said.getvalue()

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    thresholds = gc.get_threshold()
    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
def well(run: Run) -> None:
    """Redis is what Postgres says: earlier tests have left what live traffic never would."""
    assert run("repair", *SOON)[0] == 0


@pytest.fixture
def someone(well: None, rollcall: Rollcall) -> Someone:
    someone = rollcall.sign_up()
    someone.settled()
    return someone


@pytest.fixture
def gone(well: None, rollcall: Rollcall) -> Someone:
    someone = rollcall.sign_up()
    assert someone.call("DELETE", "profile/").status_code == 204
    someone.settled()
    return someone


def key(someone: Someone) -> str:
    return f"p:{UUID(someone.id).hex}"


def redis() -> Redis:
    from domain.stores import profiles

    return profiles.redis()


def standing(someone: Someone) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], redis().hgetall(key(someone)))


def raise_version(someone: Someone) -> None:
    """A change that is committed, whose writer has died before anything could follow."""
    from django.db.models import F

    from domain.stores.models import Person

    Person.objects.filter(id=someone.id).update(version=F("version") + 1, name="Grace")


def test_verify_finds_no_difference_in_consistent_data(someone, gone, run: Run):
    status, said = run("verify", *SOON)
    assert status == 0
    assert "\n0 in all." in said


def test_expired_session_is_no_difference(someone, run: Run):
    redis().hset(key(someone), b"x" * 32, b"1")
    assert run("verify", *SOON)[0] == 0


def drop(someone: Someone) -> None:
    redis().delete(key(someone))


def set_field(name: bytes, value: bytes) -> Callable[[Someone], object]:
    return lambda someone: redis().hset(key(someone), name, value)


def drop_field(name: bytes) -> Callable[[Someone], object]:
    return lambda someone: redis().hdel(key(someone), name)


def drop_sessions(someone: Someone) -> None:
    for name in standing(someone):
        if len(name) == 32:
            drop_field(name)(someone)


def move_ends(someone: Someone) -> None:
    for name in standing(someone):
        if len(name) == 32:
            set_field(name, b"4000000000")(someone)


DAMAGE = {
    "no hash": ("missing", drop),
    "an old hash": ("old", raise_version),
    "another body": ("wrong", set_field(b"b", b"{}")),
    "another ETag": ("wrong", set_field(b"e", b'"x"')),
    "no version": ("wrong", drop_field(b"v")),
    "no number for a version": ("wrong", set_field(b"v", b"x")),
    "a session too many": ("wrong", set_field(b"x" * 32, b"4000000000")),
    "a session too few": ("wrong", drop_sessions),
    "a session that ends later": ("wrong", move_ends),
    "a field too many": ("wrong", set_field(b"t", b"1")),
    "a version of the future": ("newer", set_field(b"v", b"77")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_difference_is_reported_and_repaired(someone, run: Run, damage: str):
    kind, cause = DAMAGE[damage]
    before = standing(someone)
    cause(someone)
    status, said = run("verify", *SOON)
    assert status == 1
    assert f"{kind}: 1 {someone.id}\n" in said
    assert "1 in all." in said
    status, said = run("repair", *SOON)
    assert status == 0
    assert f"{kind}: 1 {someone.id}\n" in said
    assert "1 mended, 0 left." in said
    assert run("verify", *SOON)[0] == 0
    assert (standing(someone) == before) == (kind != "old")
    assert someone.profile().json()["name"] == ("Grace" if kind == "old" else "Ada")


@pytest.mark.parametrize("damage", ["no hash", "another body", "a field too many"])
def test_tombstone_is_verified_and_repaired(gone, run: Run, damage: str):
    kind, cause = DAMAGE[damage]
    before = standing(gone)
    cause(gone)
    status, said = run("verify", *SOON)
    assert status == 1
    assert f"{kind}: 1 {gone.id}\n" in said
    assert run("repair", *SOON)[0] == 0
    assert standing(gone) == before
    assert code_of(gone.profile()) == "invalid_token"


def test_orphan_hash_is_deleted_and_other_keys_are_kept(someone, run: Run):
    nobody = uuid4()
    redis().copy(key(someone), f"p:{nobody.hex}")
    redis().set("p:something-else", "stays")
    status, said = run("verify", *SOON)
    assert status == 1
    assert f"extra: 1 {nobody}\n" in said
    assert run("repair", *SOON)[0] == 0
    assert not redis().exists(f"p:{nobody.hex}")
    assert redis().getdel("p:something-else") == b"stays"


def test_max_ids_limits_the_printed_ids(well, rollcall: Rollcall, run: Run):
    people = [rollcall.sign_up() for _ in range(3)]
    for someone in people:
        someone.settled()
        drop(someone)
    said = run("verify", "--show", "2", *SOON)[1]
    assert re.search(r"^missing: 3( [0-9a-f-]{36}){2}$", said, re.MULTILINE)
    assert "@" not in said
    assert "+" not in said


def test_change_in_flight_is_no_difference(someone, run: Run):
    from django.db import connections

    from domain.stores import profiles

    def write_and_change_again() -> None:
        profiles.refresh(UUID(someone.id))
        raise_version(someone)
        connections.close_all()

    raise_version(someone)
    late = threading.Timer(0.2, write_and_change_again)
    late.start()
    status, _ = run("verify", "--patience", "3")
    late.join()
    assert status == 0


@pytest.mark.parametrize("action", ["rebuild", "repair"])
def test_concurrent_write_is_never_overwritten(
    someone, run: Run, monkeypatch, action: str
):
    from domain.stores import bulk

    write = bulk.run
    seen: list[str] = []

    def late(script: str, calls: list[tuple[str, list[bytes]]]) -> list[int]:
        if not seen:
            assert someone.patch({"name": "Grace"}).status_code == 200
        written = write(script, calls)
        seen.append(someone.profile().json()["name"])
        return written

    redis().hset(key(someone), b"b", b"{}")
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "run", late)
        assert run(action)[0] == 0
    assert set(seen) == {"Grace"}


def test_concurrent_first_write_is_never_overwritten(someone, run: Run, monkeypatch):
    from domain.stores import bulk

    create = bulk.create

    def late(hashes) -> list[int]:
        hashes = list(hashes)
        assert someone.patch({"name": "Grace"}).status_code == 200
        created = create(hashes)
        assert someone.profile().json()["name"] == "Grace"
        return created

    drop(someone)
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "create", late)
        assert run("rebuild")[0] == 0
    assert run("verify", *SOON)[0] == 0


def test_rebuild_uses_scripts_if_hsetex_is_not_available(
    someone, gone, run: Run
):
    before = [standing(someone), standing(gone)]
    redis().flushdb()
    redis().acl_setuser("default", enabled=True, nopass=True, commands=["-hsetex"])
    try:
        status, said = run("rebuild")
    finally:
        redis().acl_setuser("default", enabled=True, nopass=True, commands=["+hsetex"])
    assert status == 0
    assert ": 0 profiles written" not in said
    assert [standing(someone), standing(gone)] == before


def test_rebuild_of_an_empty_redis_writes_identical_bytes(someone, gone, run: Run):
    before = [standing(someone), standing(gone)]
    redis().flushdb()
    status, said = run("rebuild")
    assert status == 0
    assert "a second" in said
    assert [standing(someone), standing(gone)] == before
    assert run("verify", *SOON)[0] == 0


def test_rebuilt_hash_has_the_ten_newest_active_sessions(someone, run: Run):
    from datetime import UTC, datetime, timedelta

    from domain.stores.models import Session

    later = datetime.now(UTC) + timedelta(days=1)
    for number in range(12):
        ends = later if number != 5 else datetime.now(UTC)
        Session.objects.create(
            person_id=someone.id, digest=os.urandom(31) + bytes([number]), expires_at=ends
        )
    drop(someone)
    run("rebuild")
    numbers = [name[31] for name in standing(someone) if len(name) == 32]
    assert numbers == [11, 10, 9, 8, 7, 6, 4, 3, 2, 1]


def test_interrupted_rebuild_resumes_after_its_cursor(
    well, rollcall: Rollcall, run: Run, monkeypatch
):
    from domain.stores import bulk, profiles

    people = sorted([rollcall.sign_up() for _ in range(6)], key=lambda someone: UUID(someone.id))
    for someone in people:
        someone.settled()
    publish = profiles.publish_all

    def interrupted(page) -> int:
        if str(page[0].id) == people[3].id:
            os.kill(os.getpid(), signal.SIGINT)
        return publish(page)

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "PAGE", 1)
        patch.setattr(profiles, "publish_all", interrupted)
        redis().flushdb()
        status, said = run("rebuild")
    assert status == 2
    assert "Stopped." in said
    place = said.split("--after ")[1].strip()
    redis().flushdb()
    assert run("rebuild", "--after", place)[0] == 0
    there = [bool(standing(someone)) for someone in people]
    assert there == [UUID(someone.id) > UUID(place) for someone in people]
    assert set(there) == {True, False}
    assert run("rebuild")[0] == 0


def test_rebuild_does_not_restore_a_revoked_session(
    someone, rollcall: Rollcall, run: Run, monkeypatch
):
    from domain.stores import profiles

    publish = profiles.publish_all

    def late(page) -> int:
        """What was read before the sign-out is written when Redis has forgotten it."""
        if standing(someone):
            assert someone.call("DELETE", "sessions/current/").status_code == 204
            redis().flushdb()
        return publish(page)

    with monkeypatch.context() as patch:
        patch.setattr(profiles, "publish_all", late)
        assert run("rebuild")[0] == 0
    assert code_of(someone.profile()) == "invalid_token"
    assert run("rebuild")[0] == 0
    assert code_of(someone.profile()) == "invalid_token"


@pytest.mark.parametrize("part", ["postgres", "profiles"])
def test_unavailable_server_is_reported_in_one_sentence(stack, part: str):
    manage = Path(__file__).parent.parent / "manage.py"
    stack.services[part].stop()
    try:
        ends = [
            subprocess.run(
                [sys.executable, manage, "profiles", action],
                env=stack.environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            for action in ("rebuild", "verify")
        ]
    finally:
        stack.services[part].start()
        stack.wait_until_ready()
    who = "Postgres is away" if part == "postgres" else "The profile Redis is away"
    for end in ends:
        assert end.returncode == 2
        assert end.stderr.startswith(who), end.stderr
        assert "Traceback" not in end.stderr
    assert "--after 00000000-" in ends[0].stderr


def test_memory_reports_the_overhead_of_profiles(someone, run: Run):
    status, said = run("memory")
    assert status == 0
    assert re.search(r"bodies of \d+ bytes: \d+\.\d\d times", said)


def test_live_writes_are_never_overwritten_by_older_ones(
    well, stack, rollcall: Rollcall, run: Run, many: int
):
    people = [rollcall.sign_up() for _ in range(4)]
    over = threading.Event()

    def change_again_and_again(someone: Someone) -> int:
        count = 0
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            someone.rollcall = Rollcall(client)
            while not over.is_set():
                count += 1
                assert someone.patch({"name": f"Ada {count}"}).status_code == 200
                assert someone.profile().json()["name"] == f"Ada {count}"
        return count

    with ThreadPoolExecutor(len(people)) as writers:
        writing = [writers.submit(change_again_and_again, someone) for someone in people]
        try:
            seen = [run(*words) for _ in range(3 * many) for words in (["rebuild"], ["verify"])]
            seen.append(run("repair"))
        finally:
            over.set()
        assert all(future.result() > 1 for future in writing)
    assert {status for status, _ in seen} == {0}, seen
    assert run("verify")[0] == 0
