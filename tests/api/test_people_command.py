"""`manage.py people erase ID`: erases a person, and prints what is left."""

import io
import itertools
from uuid import UUID, uuid4

import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
    wait_until_readable,
)


def run_erase(person_id: object) -> tuple[int, str]:
    """Runs the command; returns its exit status and output."""
    from django.core.management import CommandError, call_command

    printed = io.StringIO()
    try:
        call_command("people", "erase", str(person_id), stdout=printed)
    except CommandError as error:
        return error.returncode, f"{printed.getvalue()}{error}"
    return 0, printed.getvalue()


def parse_counts(printed: str) -> dict[str, int]:
    """Returns the printed number of rows by kind."""
    lines = printed.partition("Rows with this id:\n")[2].splitlines()
    rows = (line.split() for line in itertools.takewhile(lambda line: line[:1] == " ", lines))
    return {kind: int(count) for kind, count in rows}


def person_in_every_table(api: ApiClient) -> SignedUpPerson:
    key = {"Idempotency-Key": "key-of-these-tests-" + sign_up_payload()["phone"]}
    person = SignedUpPerson(api, api.post("/api/v1/signup/", sign_up_payload(), **key))
    assert person.confirm("email").status_code == 200
    person = person.sign_in()
    assert person.confirm("phone", "000000").status_code == 400
    return person


def test_erase_prints_its_proof_each_time(django_db_access, api: ApiClient):
    from domain.postgres import erasure_proof

    person = person_in_every_table(api)
    before = erasure_proof.count_rows_by_table(UUID(person.id))
    assert before.pop("Tombstone") == before.pop("Event") == 0, "the latter without a webhook"
    assert all(before.values()), before
    status, printed = run_erase(person.id)
    assert status == 0, printed
    nothing = dict.fromkeys(before, 0)
    assert parse_counts(printed) == nothing | {"Tombstone": 1, "OutboxEntry": 1, "Event": 0}
    assert "is a tombstone" in printed
    assert "fields: b, e, t, v\n" in printed
    assert problem_code(person.profile()) == "invalid_token"
    assert run_erase(person.id) == (0, printed)


def test_repeated_erase_restores_a_lost_tombstone(django_db_access, api: ApiClient):
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    person = api.sign_up()
    result = run_erase(person.id)
    assert result[0] == 0, result
    get_client().delete(redis_key(UUID(person.id)))
    result = run_erase(person.id)
    assert result[0] == 0, result
    assert get_client().exists(redis_key(UUID(person.id)))


def test_erase_fails_if_a_row_is_left(django_db_access, api: ApiClient):
    from domain.postgres.models import SignInChallenge

    person = api.sign_up()
    result = run_erase(person.id)
    assert result[0] == 0, result
    row = SignInChallenge.objects.create(
        person_id=person.id, channel="email", address_hash=b"-", salt=b"-", key_id=b"-"
    )
    try:
        code, printed = run_erase(person.id)
    finally:
        row.delete()
    assert (code, parse_counts(printed)["SignInChallenge"]) == (1, 1)


@pytest.mark.parametrize("person_id", [uuid4(), "ada@example.com"])
def test_unknown_id_is_reported_in_one_sentence(django_db_access, person_id):
    code, printed = run_erase(person_id)
    assert code == 1
    assert printed.endswith(".")
    assert "@" not in printed


def test_outbox_completes_an_erasure_without_redis(stack, django_db_access, api: ApiClient):
    person = api.sign_up()
    stack.services["profiles"].stop()
    try:
        code, printed = run_erase(person.id)
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    assert code == 2
    assert "outbox" in printed
    assert parse_counts(printed)["Person"] == 0
    wait_until(lambda: person.profile().status_code == 401)
    result = run_erase(person.id)
    assert result[0] == 0, result
