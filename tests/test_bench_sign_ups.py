"""The plain DRF application that `make bench` compares sign-ups with does what it is said to do."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loadtests.bench.sign_ups import await_response, new_plain
from local.machine import HOST, find_free_port
from local.stack import Stack
from tests.someone import Rollcall, new_body

URL = "/api/v1/signup/"
VARYING = {"id", "person", "confirmation", "digest", "salt"}
VARYING |= {"state", "attempts", "lease", "provider_id"}  # by the worker


@pytest.fixture(scope="module")
def plain(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    port, folder = find_free_port(), tmp_path_factory.mktemp("plain")
    with new_plain(stack.environment(), port, folder) as process:
        await_response(process, port)
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=20) as client:
            yield client


@pytest.fixture
def body(django_here: None) -> Iterator[dict[str, Any]]:
    """The body of a sign-up, whose rows are deleted in the end."""
    from domain.stores.models import Outbox, Person

    body = new_body()
    yield body
    people = Person.objects.filter(email=body["email"])
    Outbox.objects.filter(person__in=list(people)).delete()
    people.delete()


def rows(person: Any) -> list[list[dict[str, Any]]]:
    """What stands in each table, without what differs between any two sign-ups, or times."""
    tables = [[person], person.sessions.all(), person.confirmations.order_by("channel")]
    tables.append(person.outbox.order_by("id"))
    return [[_constant(row) for row in table] for table in tables]


def _constant(row: Any) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in row._meta.concrete_fields}
    return {k: v for k, v in values.items() if k not in VARYING and not k.endswith("_at")}


def test_peer_inserts_the_same_rows_as_rollcall(plain, rollcall: Rollcall, body):
    from domain.stores.models import Person

    assert plain.post(URL, json=body).status_code == 201
    (theirs,) = Person.objects.filter(email=body["email"])
    found = rows(theirs)
    assert [len(table) for table in found] == [1, 1, 2, 3]
    own = rollcall.sign_up(**body)
    assert found == rows(Person.objects.get(id=own.answer.json()["id"]))


def test_peer_enqueues_a_task_per_outbox_entry(plain, stack: Stack, body):
    from redis import Redis

    with Redis.from_url(stack.environment()["QUEUE_URL"]) as queue:
        before = queue.llen("huey.redis.peer")
        assert plain.post(URL, json=body).status_code == 201
        assert queue.llen("huey.redis.peer") == before + 3
        queue.delete("huey.redis.peer")


def test_peer_rejects_an_invalid_body(plain):
    wrong = plain.post(URL, json={"email": "nobody", "phone": "1"})
    assert wrong.status_code == 400
    assert wrong.json().keys() == {"name", "surname", "email", "phone"}
