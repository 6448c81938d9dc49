"""Attacks that are not tested with the feature that they attack."""

import random
import time
from dataclasses import replace
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
)

CHANNELS = ["email", "phone"]


def sign_up_confirmed(api: ApiClient) -> SignedUpPerson:
    person = api.sign_up()
    for channel in CHANNELS:
        assert person.confirm(channel).status_code == 200
    return person


def observe(api: ApiClient, person: SignedUpPerson) -> list[Any]:
    """Returns all that a person can see of their own claims, without values that always differ."""
    observed: list[Any] = [sorted(person.response.headers), person.response.status_code]
    for _ in range(6):
        responses = [person.confirm(channel, "000000") for channel in CHANNELS]
        observed += [(problem_code(response), sorted(response.headers)) for response in responses]
    for channel in CHANNELS:
        state = person.request("GET", "confirmations/").json()[channel]
        observed.append({name: state[name] for name in ("status", "attempts_left", "pending")})
        observed.append(person.request("POST", f"confirmations/{channel}/resend/").status_code)
    profile = person.profile().json()
    observed.append({name: profile[name] for name in ("email_verified", "phone_verified")})
    return observed


def test_sign_up_does_not_reveal_registered_addresses(django_db_access, api: ApiClient):
    """Responses, status, attempts and messages are alike if both addresses are another person's."""
    victim = sign_up_confirmed(api)
    addresses = {channel: victim.body[channel] for channel in CHANNELS}
    claims = [api.sign_up(**addresses), api.sign_up()]
    for claim in claims:
        claim.wait_for_outbox()
    first, second = (observe(api, claim) for claim in claims)
    assert first == second


def test_invalidated_claim_looks_like_a_pending_one(django_db_access, api: ApiClient):
    body = sign_up_payload()
    loser, winner = api.sign_up(**body), api.sign_up(**body)
    for person in (loser, winner):
        person.wait_for_outbox()
    for channel in CHANNELS:
        codes = {m["code"] for m in api.mailbox(body[channel])}
        assert 200 in [winner.confirm(channel, code).status_code for code in codes]
    other = api.sign_up()
    other.wait_for_outbox()
    assert observe(api, loser) == observe(api, other)
    assert loser.profile().json()["email"] == body["email"]


def test_code_that_was_never_sent_confirms_nothing(stack, django_db_access, api: ApiClient):
    """Else a thousand sign-ups with one address are a thousand codes to guess."""
    from domain.model.one_time_code import derive_code
    from domain.postgres.keyring import get_keyring
    from domain.postgres.models import Confirmation
    from domain.postgres.repositories.confirmations import derivation_context

    stack.services["worker"].stop()
    try:
        person = api.sign_up()
        row = Confirmation.objects.get(person_id=person.id, channel="email")
        unsent = replace(derivation_context(row), code_length=6)
        code = derive_code(get_keyring(), unsent)
        assert problem_code(person.confirm("email", code)) == "code_invalid"
    finally:
        stack.services["worker"].start()
    assert person.message("email")["code"] == code
    assert person.confirm("email").status_code == 200


def test_confirmation_touches_no_competing_claim(django_db_access, api: ApiClient):
    """There may be a million of them, which an attacker has made: they are judged when read."""
    from django.db.models.expressions import RawSQL

    from domain.postgres.models import Confirmation

    body = sign_up_payload()
    rivals = [api.sign_up(**body) for _ in range(3)]
    winner = api.sign_up(**body)
    for person in (*rivals, winner):
        person.wait_for_outbox()
    rows = Confirmation.objects.filter(person_id__in=[rival.id for rival in rivals])
    versions = rows.annotate(xmin=RawSQL("xmin::text", ())).order_by("id")
    before = list(versions.values_list("id", "xmin"))
    codes = {message["code"] for message in api.mailbox(body["email"])}
    assert 200 in [winner.confirm("email", code).status_code for code in codes]
    assert list(versions.values_list("id", "xmin")) == before
    link = next(m["link"] for m in api.mailbox(body["email"]) if m["link"])
    token = {"token": link.partition("#")[2]}
    outcomes = {api.post("/api/v1/confirmations/email/", token).status_code}
    assert outcomes <= {200, 400}
    assert [rival.profile().json()["email_verified"] for rival in rivals] == [False] * 3


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
    key = {"Idempotency-Key": f"somebody-elses-{sign_up_payload()['phone']}"}
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
    from domain.projection.client import get_client

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


def measure(calls: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of each call, in random order in each round."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in random.sample(sorted(calls), len(calls)):
            started_at = time.perf_counter()
            calls[name]()
            durations[name].append(time.perf_counter() - started_at)
    return durations


def rank_sum_z(first: list[float], second: list[float]) -> float:
    """Returns the z value of the Mann-Whitney rank sum test: within ±4 unless the two differ."""
    ranks = {value: rank for rank, value in enumerate(sorted(first + second), 1)}
    n, m = len(first), len(second)
    u = sum(ranks[value] for value in first) - n * (n + 1) / 2
    return float((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)


def test_timing_does_not_reveal_known_addresses(stack, api: ApiClient, scale):
    """2,000 requests with LONG=1. A difference would have to be well below the noise."""
    known, unknown = sign_up_confirmed(api).body["email"], sign_up_payload()["email"]

    def request_code(address: str) -> Any:
        return lambda: api.post("/api/v1/sessions/", {"email": address})

    def confirm(address: str) -> Any:
        return lambda: api.sign_in(api.request_challenge(email=address), "000000")

    for make_call in (request_code, confirm):
        durations = measure({"known": make_call(known), "unknown": make_call(unknown)}, 50 * scale)
        assert abs(rank_sum_z(durations["known"], durations["unknown"])) < 4
        assert 0.8 < median(durations["known"]) / median(durations["unknown"]) < 1.25


def test_rank_sum_detects_a_timing_difference():
    slow = [0.010 + random.random() / 500 for _ in range(200)]
    fast = [0.009 + random.random() / 500 for _ in range(200)]
    assert abs(rank_sum_z(slow, fast)) > 4
