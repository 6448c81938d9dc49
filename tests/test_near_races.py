"""Near copies: profiles that a web process keeps are never older than an answer that was given."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain import session
from domain.person import LiveSession, Person
from tests.near_reader import states_in
from tests.someone import Rollcall, eventually

PEOPLE, WRITERS = 20, 10


@pytest.fixture
def reads_of_redis(django_here):
    """How many HMGETs the profile Redis has had."""
    from domain.stores.profiles import redis

    return lambda: redis().info("commandstats")["cmdstat_hmget"]["calls"]


def test_frequent_reads_are_served_without_redis(rollcall: Rollcall, reads_of_redis):
    someone = rollcall.sign_up()
    for _ in range(20):
        someone.profile()
    before = reads_of_redis()
    assert {someone.profile().status_code for _ in range(300)} == {200}
    assert reads_of_redis() - before < 250


def test_client_reads_its_own_write(rollcall: Rollcall):
    someone = rollcall.sign_up()
    for number in range(20):
        for _ in range(5):
            someone.profile()
        assert someone.patch({"name": f"Ada {number}"}).status_code == 200
        assert someone.profile().json()["name"] == f"Ada {number}"
    assert someone.call("DELETE", "sessions/").status_code == 204
    assert {someone.profile().status_code for _ in range(20)} == {401}


def test_flush_of_redis_invalidates_cached_profiles(django_here, rollcall: Rollcall):
    """Somebody who is only read from copies would not be asked for, and never come back."""
    from domain.profile import key_of
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    for _ in range(20):
        assert someone.profile().status_code == 200
    redis().flushdb()
    key = key_of(UUID(someone.id))
    eventually(lambda: someone.profile().status_code == 200 and redis().exists(key))


# --- the race ------------------------------------------------------------------------------------


def new_person() -> tuple[Person, LiveSession, str]:
    """Somebody in Redis alone, their session, and their token."""
    from domain.stores import keys, profiles

    person_id = uuid4()
    token, digest = session.issue(keys.ring(), person_id, 1)
    live = LiveSession(digest, datetime.now(UTC) + timedelta(hours=1))
    person = Person(person_id, 1, "Ada 1", "L", "a@example.com", "+34600000000", (), False, False,
                    (live,))  # fmt: skip  # nothing of it matters here
    assert profiles.publish(person)
    return person, live, token


def write_on(
    person: Person, live: LiveSession, states: "memoryview[int]", at: int, writes: int
) -> None:
    """Change somebody so many times, every third time by ending the session."""
    from domain.stores import profiles

    for version in range(2, writes + 2):
        over = version % 3 == 0
        sessions = () if over else (live,)
        person = replace(person, version=version, name=f"Ada {version}", sessions=sessions)
        states[at] = -1
        profiles.publish(person)
        profiles.settle()
        states[at] = 2 * version + over


def test_readers_never_see_state_older_than_an_answered_write(
    stack, django_here, tmp_path: Path, reads_of_redis, many
):
    """10,000 writes with LONG=1, each third one the end of a session; a thousand else."""
    from django.conf import settings

    people = [new_person() for _ in range(PEOPLE)]
    tokens, shared = tmp_path / "tokens", tmp_path / "states"
    tokens.write_text("\n".join(token for *_, token in people))
    shared.write_bytes(bytes(8 * (PEOPLE + 1)))
    argv = [sys.executable, "-m", "tests.near_reader"]
    argv += [settings.REDIS_URL, settings.SECRET_KEY, str(tokens), str(shared)]
    before = reads_of_redis()
    with states_in(shared) as states:
        states[:PEOPLE] = memoryview(bytes((2).to_bytes(8, sys.byteorder) * PEOPLE)).cast("q")
        readers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            with ThreadPoolExecutor(WRITERS) as threads:
                writers = [
                    threads.submit(write_on, person, live, states, at, 1_000 * many // PEOPLE)
                    for at, (person, live, _) in enumerate(people)
                ]
                for writer in writers:
                    writer.result()
        finally:
            states[-1] = 1
            said = [reader.communicate(timeout=30)[0] for reader in readers]
    found = [json.loads(lines.splitlines()[-1]) for lines in said]
    assert [one["wrong"] for one in found] == [[], []]
    count = sum(one["reads"] for one in found)
    assert all(one["reads"] > 1_000 for one in found)
    assert reads_of_redis() - before < 0.9 * count, "copies were in use"
