"""`manage.py people forget ID`: an operator has somebody forgotten, and sees the proof."""

import io
import itertools
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.someone import Rollcall, Someone, code_of, eventually, new_body, reading_again

ROOT = Path(__file__).parent.parent


def forget(person_id: object) -> tuple[int, str]:
    """The command's exit code, and what it prints."""
    from django.core.management import CommandError, call_command

    printed = io.StringIO()
    try:
        call_command("people", "forget", str(person_id), stdout=printed)
    except CommandError as error:
        return error.returncode, f"{printed.getvalue()}{error}"
    return 0, printed.getvalue()


def known(printed: str) -> dict[str, int]:
    """Kind of rows -> how many, as the command prints them."""
    lines = printed.partition("Rows that know this id:\n")[2].splitlines()
    rows = (line.split() for line in itertools.takewhile(lambda line: line[:1] == " ", lines))
    return {kind: int(count) for kind, count in rows}


def known_to_every_table(rollcall: Rollcall) -> Someone:
    key = {"Idempotency-Key": "key-of-these-tests-" + new_body()["phone"]}
    someone = Someone(rollcall, rollcall.post("/api/v1/signup/", new_body(), **key))
    assert someone.confirm("email").status_code == 200
    someone = someone.sign_in()
    assert someone.confirm("phone", "000000").status_code == 400
    return someone


def test_erase_prints_its_proof_each_time(
    stack, django_here, rollcall: Rollcall
):
    from domain.stores import traces

    someone = known_to_every_table(rollcall)
    before = traces.rows_about(UUID(someone.id))
    assert before.pop("Gone") == 0
    assert all(before.values()), before
    result = subprocess.run(
        [sys.executable, "manage.py", "people", "forget", someone.id],
        env=stack.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    nothing = dict.fromkeys(before, 0)
    assert known(result.stdout) == nothing | {"Gone": 1, "Outbox": 1}
    assert "is a tombstone" in result.stdout
    assert "fields: b, e, t, v\n  body:   0 octets" in result.stdout
    assert code_of(someone.profile()) == "invalid_token"
    assert forget(someone.id) == (0, result.stdout)


def test_repeated_erase_restores_a_lost_tombstone(django_here, rollcall: Rollcall):
    from domain.profile import key_of
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    assert forget(someone.id)[0] == 0
    redis().delete(key_of(UUID(someone.id)))
    assert forget(someone.id)[0] == 0
    assert redis().exists(key_of(UUID(someone.id)))


def test_erase_fails_if_a_row_is_left(django_here, rollcall: Rollcall):
    from domain.stores.models import SignIn

    someone = rollcall.sign_up()
    assert forget(someone.id)[0] == 0
    row = SignIn.objects.create(
        person_id=someone.id, channel="email", address_hash=b"-", salt=b"-", key_id=b"-"
    )
    try:
        code, printed = forget(someone.id)
    finally:
        row.delete()
    assert (code, known(printed)["SignIn"]) == (1, 1)


@pytest.mark.parametrize("person_id", [uuid4(), "ada@example.com"])
def test_unknown_id_is_reported_in_one_sentence(django_here, person_id):
    code, printed = forget(person_id)
    assert code == 1
    assert printed.endswith(".")
    assert "@" not in printed


def test_outbox_completes_an_erasure_without_redis(stack, django_here, rollcall: Rollcall):
    someone = rollcall.sign_up()
    stack.services["profiles"].stop()
    try:
        code, printed = forget(someone.id)
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    assert code == 2
    assert "outbox" in printed
    assert known(printed)["Person"] == 0
    eventually(lambda: someone.profile().status_code == 401)
    assert forget(someone.id)[0] == 0
