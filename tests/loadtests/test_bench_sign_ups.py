"""The plain DRF application that `make bench` compares sign-ups with."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loadtests.bench.sign_ups import await_response, new_plain
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.client import ApiClient, sign_up_payload

URL = "/api/v1/signup/"
VARIABLE_FIELDS = {"id", "person", "confirmation", "digest", "salt", "network_hash", "code_length"}
VARIABLE_FIELDS |= {"state", "attempts", "lease_token", "provider_message_id"}  # by the worker


@pytest.fixture(scope="module")
def plain(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    port, folder = find_free_port(), tmp_path_factory.mktemp("plain")
    with new_plain(stack.environment(), port, folder) as process:
        await_response(process, port)
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=20) as client:
            yield client


@pytest.fixture
def body(django_db_access: None) -> Iterator[dict[str, Any]]:
    """Returns the body of a sign-up; deletes its rows at the end."""
    from domain.postgres.models import OutboxEntry, Person

    body = sign_up_payload()
    yield body
    people = Person.objects.filter(email=body["email"])
    OutboxEntry.objects.filter(person__in=list(people)).delete()
    people.delete()


def read_rows(person: Any) -> list[list[dict[str, Any]]]:
    """Returns the rows of each table without the fields that differ between any two sign-ups."""
    tables = [[person], person.sessions.all(), person.confirmations.order_by("channel")]
    tables.append(person.outbox.order_by("id"))
    return [[without_variable_fields(row) for row in table] for table in tables]


def without_variable_fields(row: Any) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in row._meta.concrete_fields}
    return {k: v for k, v in values.items() if k not in VARIABLE_FIELDS and not k.endswith("_at")}


def test_peer_inserts_the_same_rows_as_rollcall(plain, api: ApiClient, body):
    from domain.postgres.models import Person

    assert plain.post(URL, json=body).status_code == 201
    (theirs,) = Person.objects.filter(email=body["email"])
    actual = read_rows(theirs)
    assert [len(table) for table in actual] == [1, 1, 2, 3]
    own = api.sign_up(**body)
    assert actual == read_rows(Person.objects.get(id=own.response.json()["id"]))


def test_peer_enqueues_a_task_per_outbox_entry(plain, stack: Stack, body):
    from redis import Redis

    with Redis.from_url(stack.environment()["QUEUE_URL"]) as queue:
        before = queue.llen("huey.redis.peer")
        assert plain.post(URL, json=body).status_code == 201
        assert queue.llen("huey.redis.peer") == before + 3
        queue.delete("huey.redis.peer")


def test_peer_rejects_an_invalid_body(plain):
    invalid = plain.post(URL, json={"email": "nobody", "phone": "1"})
    assert invalid.status_code == 400
    assert invalid.json().keys() == {"name", "surname", "email", "phone"}


def test_baseline_has_all_parameters_of_the_statement(django_setup: None):
    from domain.model.keyring import Keyring
    from domain.postgres.repositories.sign_ups import INSERT_SIGN_UP
    from loadtests.bench.insert_baseline import _make_row

    parameters = set(re.findall(r"%\((\w+)\)s", INSERT_SIGN_UP))
    assert _make_row(Keyring(["a secret"]), 1).keys() == parameters
