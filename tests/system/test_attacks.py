"""Attacks that are not tested with the feature that they attack."""

from dataclasses import replace
from uuid import UUID

import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
)
from tests.support.faults import suspended

CHANNELS = ["email", "phone"]


def sign_up_confirmed(api: ApiClient) -> SignedUpPerson:
    person = api.sign_up()
    for channel in CHANNELS:
        assert person.confirm(channel).status_code == 200
    return person


def test_code_that_was_never_sent_confirms_nothing(stack, django_db_access, api: ApiClient):
    """Else a thousand sign-ups with one address are a thousand codes to guess."""
    from domain.model.one_time_code import derive_code
    from domain.postgres.code_rows import derivation_context
    from domain.postgres.keyring import get_keyring
    from domain.postgres.models import Confirmation

    with suspended(stack.services["worker"]):
        person = api.sign_up()
        row = Confirmation.objects.get(person_id=person.id, channel="email")
        unsent = replace(derivation_context(row), code_length=6)
        code = derive_code(get_keyring(), unsent)
        assert problem_code(person.confirm("email", code)) == "code_invalid"
    assert person.message("email")["code"] == code
    assert person.confirm("email").status_code == 200


def test_confirmation_touches_no_competing_claim(django_db_access, api: ApiClient):
    """There may be a million of them, which an attacker has made: they are judged when read."""
    from django.db.models.expressions import RawSQL

    from domain.postgres.models import Confirmation

    body = sign_up_payload()
    competitors = [api.sign_up(**body) for _ in range(3)]
    winner = api.sign_up(**body)
    for person in (*competitors, winner):
        person.wait_for_outbox()
    rows = Confirmation.objects.filter(person_id__in=[each.id for each in competitors])
    versions = rows.annotate(xmin=RawSQL("xmin::text", ())).order_by("id")
    before = list(versions.values_list("id", "xmin"))
    codes = {message["code"] for message in api.mailbox(body["email"])}
    assert 200 in [winner.confirm("email", code).status_code for code in codes]
    assert list(versions.values_list("id", "xmin")) == before
    link = next(m["link"] for m in api.mailbox(body["email"]) if m["link"])
    token = {"token": link.partition("#")[2]}
    outcomes = {api.post("/api/v1/confirmations/email/", token).status_code}
    assert outcomes <= {200, 400}
    assert not any(each.profile().json()["email_verified"] for each in competitors)


def test_code_of_the_owner_does_not_confirm_another_claim(api: ApiClient):
    victim = sign_up_confirmed(api)
    other = api.sign_up(email=victim.body["email"])
    wait_until(lambda: len(victim.messages("email")) == 2)
    assert victim.message("email")["code"] is None
    for message in victim.messages("email"):
        if message["code"]:
            assert problem_code(other.confirm("email", message["code"])) == "code_invalid"
    assert victim.profile().json()["email_verified"]


def test_idempotency_key_of_another_person_reveals_nothing(api: ApiClient):
    key = {"Idempotency-Key": f"another-clients-{sign_up_payload()['phone']}"}
    assert api.post("/api/v1/signup/", sign_up_payload(), **key).status_code == 201
    response = api.post("/api/v1/signup/", sign_up_payload(name="Eve"), **key)
    assert problem_code(response) == "idempotency_mismatch"
    assert "session" not in response.json()
    assert "Ada" not in response.text


@pytest.mark.parametrize("deletes", [False, True], ids=["signed out", "left"])
@pytest.mark.usefixtures("django_db_access")
def test_revocation_survives_a_flush_and_a_late_worker(api: ApiClient, deletes):
    from domain.postgres import person_queries
    from domain.profile import redis_key
    from domain.projection import writer
    from tests.support.profile_redis import get_client

    person = sign_up_confirmed(api)
    person_id = UUID(person.id)
    before = person_queries.get_person(person_id)
    assert before is not None
    path = "profile/" if deletes else "sessions/current/"
    assert person.request("DELETE", path).status_code == 204
    writer.write_profile(before)  # a late worker, which has read the previous state
    assert problem_code(person.profile()) == "invalid_token"
    for is_late in (False, True):
        get_client().delete(redis_key(person_id))
        if is_late:  # with a backfill at the same time: the late write is discarded
            assert not writer.write_profile(before)
        responses = {person.profile().status_code for _ in range(20)}
        assert responses <= {401, 503}
        assert wait_until(lambda: person.profile().status_code == 401)
