"""A profile Redis with older data, after a snapshot was loaded or a replica was promoted."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.client import ApiClient, SignedUpPerson, wait_until, wait_until_readable
from tests.support.faults import suspended

READ = "/readyz?capability=read"


class RestorableRedis:
    """The profile Redis of a stack, and a copy of its data at one time."""

    def __init__(self, stack, folder: Path) -> None:
        self._service = stack.services["profiles"]
        self._copy = folder / "copy"
        shutil.copytree(self._service.folder, self._copy)

    def kill_and_restore(self) -> None:
        self._service.kill()
        shutil.rmtree(self._service.folder)
        shutil.copytree(self._copy, self._service.folder)

    def start(self) -> None:
        self._service.start()


@contextmanager
def reading_profiles(
    stack, people: dict[str, SignedUpPerson]
) -> Iterator[dict[str, list[httpx.Response]]]:
    """Reads these people's profiles continuously in a thread; yields the responses, in order."""
    responses: dict[str, list[httpx.Response]] = {name: [] for name in people}
    ended = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            while not ended.is_set():
                for name, person in people.items():
                    responses[name].append(client.get("/api/v1/profile/", headers=person.bearer))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield responses
    finally:
        ended.set()
        reader.join()


def test_older_data_in_redis_are_never_served(stack, django_db_access, api: ApiClient, tmp_path):
    changed, left, deleted, own = people = [api.sign_up() for _ in range(4)]
    for person in people:
        person.wait_for_outbox()
    restored = RestorableRedis(stack, tmp_path)
    assert changed.patch({"name": "Grace"}).status_code == 200
    assert left.request("DELETE", "sessions/current/").status_code == 204
    assert deleted.request("DELETE", "profile/").status_code == 204
    later = api.sign_up()
    with reading_profiles(
        stack, {"changed": changed, "left": left, "gone": deleted, "late": later}
    ) as responses:
        wait_until(lambda: len(responses["late"]) > 2)
        restored.kill_and_restore()
        wait_until(lambda: responses["late"][-1].status_code == 503)
        restored.start()
        wait_until(lambda: api.http.get(READ).status_code == 200)
        wait_until(
            lambda: [each[-1].status_code for each in responses.values()] == [200, 401, 401, 200]
        )
    assert {each.json()["name"] for each in responses["changed"] if each.status_code == 200} == {
        "Grace"
    }
    assert {each.status_code for each in responses["changed"] + responses["late"]} == {200, 503}
    assert {each.status_code for each in responses["left"] + responses["gone"]} == {401, 503}
    wait_until_readable(stack)
    assert own.profile().json() == own.body


def test_older_data_are_not_read_before_fencing(stack, django_db_access, api: ApiClient, tmp_path):
    person = api.sign_up()
    person.wait_for_outbox()
    restored = RestorableRedis(stack, tmp_path)
    with suspended(stack.services["relay"]):
        restored.kill_and_restore()
        restored.start()
        for _ in range(10):
            assert person.profile().status_code == 503
        wait_until(lambda: api.http.get(READ).json()["read"] == "stale")
    assert wait_until(lambda: person.profile().status_code == 200)
    wait_until_readable(stack)


def test_primary_that_was_demoted_in_between_is_not_read_before_fencing(
    stack, django_db_access, api: ApiClient
):
    """Its run id is the same, and its data may be those from before."""
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    person.wait_for_outbox()
    with suspended(stack.services["relay"]):
        get_client().replicaof("127.0.0.1", "1")
        get_client().replicaof("NO", "ONE")
        wait_until(lambda: api.http.get(READ).json()["read"] == "stale")
        assert person.profile().status_code == 503
    assert wait_until(lambda: person.profile().status_code == 200)
    wait_until_readable(stack)


def lose_change(person: SignedUpPerson, known: dict[str, str], *, open_rows: bool) -> None:
    """Simulates another Redis, whose data are complete until a known time, and lack a change.

    No miss reveals it, because the token is older. The outbox has either unfinished entries of the
    change, which no worker processes, or none.
    """
    from domain import fence, profile
    from domain.postgres.models import OutboxEntry
    from tests.support.profile_redis import get_client

    key = f"p:{person.id.replace('-', '')}"
    older = get_client().hgetall(key)
    assert person.patch({"name": "Grace"}).status_code == 200
    person.wait_for_outbox()
    rows = OutboxEntry.objects.filter(person_id=person.id)
    if open_rows:
        later = datetime.now(UTC) + timedelta(hours=1)
        rows.update(finished_at=None, state="queued", due_at=later)
    else:
        rows.delete()
    with get_client().pipeline() as pipeline:
        pipeline.hset(key, mapping={name: older[name] for name in (profile.BODY, profile.VERSION)})
        pipeline.delete(fence.fence_key())
        for name, value in {fence.RUN_ID: "another", **known}.items():
            pipeline.hset(fence.fence_key(), name, value)
        pipeline.execute()


@pytest.mark.parametrize("known", [{"complete_until": "2001-01-01T00:00:00+00:00"}, {}])
def test_changes_purged_from_the_outbox_are_restored(known, django_db_access, api: ApiClient):
    person, bystander = api.sign_up(), api.sign_up()
    person.wait_for_outbox()
    lose_change(person, known, open_rows=False)
    wait_until(lambda: person.profile().json().get("name") == "Grace")
    assert bystander.profile().json() == bystander.body


def test_change_not_yet_projected_is_restored(django_db_access, api: ApiClient):
    person = api.sign_up()
    person.wait_for_outbox()
    lose_change(person, {"complete_until": "2100-01-01T00:00:00+00:00"}, open_rows=True)
    wait_until(lambda: person.profile().json().get("name") == "Grace")
