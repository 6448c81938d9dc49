"""The profile Redis comes back with older data: a snapshot was loaded, or a replica took over."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.someone import Rollcall, Someone, eventually, reading_again

READ = "/readyz?capability=read"


class Restored:
    """The profile Redis of a stack, and a copy of its data as they were at one time."""

    def __init__(self, stack, folder: Path) -> None:
        self._part = stack.services["profiles"]
        self._copy = folder / "copy"
        shutil.copytree(self._part.folder, self._copy)

    def kill_and_restore(self) -> None:
        self._part.kill()
        shutil.rmtree(self._part.folder)
        shutil.copytree(self._copy, self._part.folder)

    def start(self) -> None:
        self._part.start()


@contextmanager
def reading(stack, people: dict[str, Someone]) -> Iterator[dict[str, list[httpx.Response]]]:
    """Read these people's profiles all the time, in a thread; their answers, in order."""
    answers: dict[str, list[httpx.Response]] = {name: [] for name in people}
    ended = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            while not ended.is_set():
                for name, someone in people.items():
                    answers[name].append(client.get("/api/v1/profile/", headers=someone.bearer))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield answers
    finally:
        ended.set()
        reader.join()


def test_older_data_in_redis_are_never_served(
    stack, django_here, rollcall: Rollcall, tmp_path
):
    changed, left, gone, alone = people = [rollcall.sign_up() for _ in range(4)]
    for someone in people:
        someone.settled()
    restored = Restored(stack, tmp_path)
    assert changed.patch({"name": "Grace"}).status_code == 200
    assert left.call("DELETE", "sessions/current/").status_code == 204
    assert gone.call("DELETE", "profile/").status_code == 204
    late = rollcall.sign_up()
    with reading(stack, {"changed": changed, "left": left, "gone": gone, "late": late}) as answers:
        eventually(lambda: len(answers["late"]) > 2)
        restored.kill_and_restore()
        eventually(lambda: answers["late"][-1].status_code == 503)
        restored.start()
        eventually(lambda: rollcall.http.get(READ).status_code == 200)
        eventually(lambda: [a[-1].status_code for a in answers.values()] == [200, 401, 401, 200])
    assert {a.json()["name"] for a in answers["changed"] if a.status_code == 200} == {"Grace"}
    assert {a.status_code for a in answers["changed"] + answers["late"]} == {200, 503}
    assert {a.status_code for a in answers["left"] + answers["gone"]} == {401, 503}
    reading_again(stack)
    assert alone.profile().json() == alone.body


def test_older_data_are_not_read_before_fencing(
    stack, django_here, rollcall: Rollcall, tmp_path
):
    someone = rollcall.sign_up()
    someone.settled()
    restored = Restored(stack, tmp_path)
    stack.services["relay"].stop()
    restored.kill_and_restore()
    restored.start()
    try:
        for _ in range(10):
            assert someone.profile().status_code == 503
        eventually(lambda: rollcall.http.get(READ).json()["read"] == "unchecked")
    finally:
        stack.services["relay"].start()
    assert eventually(lambda: someone.profile().status_code == 200, within=10)
    reading_again(stack)


def lose_a_change(someone: Someone, known: dict[str, str], *, open_rows: bool) -> None:
    """Have the profile Redis be of another run, whose data are known to be complete until a time,
    and the person's hash be of the time before a change. Nobody misses it: the token is older.

    The outbox remembers the change by rows that are open (but nobody's to work on), or not at all.
    """
    from domain import profile, vouched
    from domain.stores.models import Outbox
    from domain.stores.profiles import redis

    key = f"p:{someone.id.replace('-', '')}"
    older = redis().hgetall(key)
    assert someone.patch({"name": "Grace"}).status_code == 200
    someone.settled()
    rows = Outbox.objects.filter(person_id=someone.id)
    if open_rows:
        rows.update(finished_at=None)
    else:
        rows.delete()
    with redis().pipeline() as pipeline:
        pipeline.hset(key, mapping={name: older[name] for name in (profile.BODY, profile.VERSION)})
        pipeline.delete(vouched.KEY)
        for name, value in {vouched.RUN: "another", **known}.items():
            pipeline.hset(vouched.KEY, name, value)
        pipeline.execute()


@pytest.mark.parametrize("known", [{"at": "2001-01-01T00:00:00+00:00"}, {}])
def test_changes_purged_from_the_outbox_are_rebuilt(
    known, django_here, rollcall: Rollcall
):
    someone, bystander = rollcall.sign_up(), rollcall.sign_up()
    someone.settled()
    lose_a_change(someone, known, open_rows=False)
    eventually(lambda: someone.profile().json().get("name") == "Grace")
    assert bystander.profile().json() == bystander.body


def test_change_not_yet_projected_is_restored(
    django_here, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    someone.settled()
    lose_a_change(someone, {"at": "2100-01-01T00:00:00+00:00"}, open_rows=True)
    eventually(lambda: someone.profile().json().get("name") == "Grace")
