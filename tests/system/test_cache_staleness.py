"""The client-side cache under load: no read is older than an answered write."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.model import session_token
from domain.model.person import ActiveSession, Person
from tests.support.cache_reader import shared_states
from tests.support.client import ApiClient, wait_until

PEOPLE, WRITERS = 100, 10
WRITES = 10  # of each person


@pytest.fixture
def count_redis_reads(django_db_access):
    """Returns the number of HMGETs that the profile Redis has executed."""
    from tests.support.profile_redis import get_client

    return lambda: get_client().info("commandstats")["cmdstat_hmget"]["calls"]


def test_frequent_reads_are_served_without_redis(api: ApiClient, count_redis_reads):
    person = api.sign_up()
    for _ in range(20):
        person.profile()
    before = count_redis_reads()
    assert {person.profile().status_code for _ in range(300)} == {200}
    assert count_redis_reads() - before < 250


def test_client_reads_its_own_write(api: ApiClient):
    person = api.sign_up()
    for number in range(20):
        for _ in range(5):
            person.profile()
        assert person.patch({"name": f"Ada {number}"}).status_code == 200
        assert person.profile().json()["name"] == f"Ada {number}"
    assert person.request("DELETE", "sessions/").status_code == 204
    assert {person.profile().status_code for _ in range(20)} == {401}


def test_flush_of_redis_invalidates_cached_profiles(django_db_access, api: ApiClient):
    """Otherwise a person who is only read from the cache would never be backfilled."""
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    for _ in range(20):
        assert person.profile().status_code == 200
    get_client().flushdb()
    key = redis_key(UUID(person.id))
    wait_until(lambda: person.profile().status_code == 200 and get_client().exists(key))


# --- the race ------------------------------------------------------------------------------------


def new_person() -> tuple[Person, ActiveSession, str]:
    """Creates a person in Redis alone; returns them, their session, and its token."""
    from domain.postgres import keyring
    from domain.projection import writer

    person_id = uuid4()
    token, digest = session_token.issue_token(keyring.get_keyring(), person_id, 1)
    session_row = ActiveSession(digest, datetime.now(UTC) + timedelta(hours=1))
    person = Person(person_id, 1, "Ada 1", "L", "a@example.com", "+34600000000", (), False, False,
                    (session_row,))  # fmt: skip  # nothing of it matters here
    assert writer.write_profile(person, datetime.now(UTC))
    return person, session_row, token


def keep_writing(
    people: Sequence[tuple[Person, ActiveSession, str]], states: "memoryview[int]", writes: int
) -> None:
    """Changes people in turns, `writes` times each, and revokes their session with the last one.

    While one is changed the states of the others are fixed, so that reads of them are checked.
    `states` are those of these people.
    """
    from domain.projection import writer

    for version in range(2, writes + 2):
        is_revoked = version == writes + 1
        for index, (person, session_row, _) in enumerate(people):
            states[index] = -1
            sessions = () if is_revoked else (session_row,)
            writer.write_profile(
                replace(person, version=version, name=f"Ada {version}", sessions=sessions)
            )
            writer.sleep_max_staleness()
            states[index] = 2 * version + is_revoked


def test_readers_never_see_state_older_than_an_answered_write(
    stack, django_db_access, tmp_path: Path, scale
):
    """10,000 writes with LONG=1, else 1,000; every tenth revokes a session."""
    from django.conf import settings

    from domain.fence import SINCE, fence_key
    from tests.support.profile_redis import get_client

    # Another test may just have flushed Redis: it has lost what was written before.
    wait_until(lambda: get_client().hexists(fence_key(), SINCE))
    people = [new_person() for _ in range(PEOPLE)]
    tokens, shared = tmp_path / "tokens", tmp_path / "states"
    tokens.write_text("\n".join(token for *_, token in people))
    shared.write_bytes(bytes(8 * (PEOPLE + 1)))
    argv = [sys.executable, "-m", "tests.support.cache_reader"]
    argv += [settings.REDIS_URL, settings.SECRET_KEY, str(tokens), str(shared)]
    with shared_states(shared) as states:
        states[:PEOPLE] = memoryview(bytes((2).to_bytes(8, sys.byteorder) * PEOPLE)).cast("q")
        readers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        try:
            for reader in readers:
                assert reader.stdout
                assert "reading\n" in reader.stdout, "it has begun, after lines of its log"
            with ThreadPoolExecutor(WRITERS) as threads:
                writers = [
                    threads.submit(
                        keep_writing, people[first:end], states[first:end], WRITES * scale
                    )
                    for first, end in pairwise(range(0, PEOPLE + 1, PEOPLE // WRITERS))
                ]
                for writer in writers:
                    writer.result()
        finally:
            states[-1] = 1
            outputs = [reader.communicate(timeout=30)[0] for reader in readers]
    results = [json.loads(lines.splitlines()[-1]) for lines in outputs]
    assert [result["errors"] for result in results] == [[], []]
    assert all(result["checked"] > 1_000 for result in results)
    # How many depends on how busy the machine is: an entry is used for 20 ms after Redis replied.
    assert all(result["cache_hits"] for result in results)
