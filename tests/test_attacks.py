"""What an attacker would try; the rest stands with what is attacked."""

import random
import time
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from tests.someone import Rollcall, Someone, code_of, eventually, new_body

CHANNELS = ["email", "phone"]


def confirmed(rollcall: Rollcall) -> Someone:
    someone = rollcall.sign_up()
    for channel in CHANNELS:
        assert someone.confirm(channel).status_code == 200
    return someone


def behaviour(rollcall: Rollcall, someone: Someone) -> list[Any]:
    """All that somebody can see of their own claims: answers without what differs by nature."""
    seen: list[Any] = [sorted(someone.answer.headers), someone.answer.status_code]
    for _ in range(6):
        answers = [someone.confirm(channel, "000000") for channel in CHANNELS]
        seen += [(code_of(answer), sorted(answer.headers)) for answer in answers]
    for channel in CHANNELS:
        state = someone.call("GET", "confirmations/").json()[channel]
        seen.append({name: state[name] for name in ("status", "attempts_left", "pending")})
        seen.append(someone.call("POST", f"confirmations/{channel}/resend/").status_code)
    profile = someone.profile().json()
    seen.append({name: profile[name] for name in ("email_verified", "phone_verified")})
    return seen


def test_sign_up_does_not_reveal_registered_addresses(django_here, rollcall: Rollcall):
    """Not by answers, states, tries or messages of one's own; both addresses are another's."""
    victim = confirmed(rollcall)
    taken = {channel: victim.body[channel] for channel in CHANNELS}
    claims = [rollcall.sign_up(**taken), rollcall.sign_up()]
    for claim in claims:
        claim.settled()
    first, second = (behaviour(rollcall, claim) for claim in claims)
    assert first == second


def test_invalidated_claim_looks_like_a_pending_one(django_here, rollcall: Rollcall):
    body = new_body()
    loser, winner = rollcall.sign_up(**body), rollcall.sign_up(**body)
    for someone in (loser, winner):
        someone.settled()
    for channel in CHANNELS:
        codes = {m["code"] for m in rollcall.mailbox(body[channel])}
        assert 200 in [winner.confirm(channel, code).status_code for code in codes]
    stranger = rollcall.sign_up()
    stranger.settled()
    assert behaviour(rollcall, loser) == behaviour(rollcall, stranger)
    assert loser.profile().json()["email"] == body["email"]


def test_code_of_the_owner_does_not_confirm_another_claim(rollcall: Rollcall):
    victim = confirmed(rollcall)
    stranger = rollcall.sign_up(email=victim.body["email"])
    eventually(lambda: len(victim.messages("email")) == 2)
    assert victim.message("email")["code"] is None
    for message in victim.messages("email"):
        if message["code"]:
            assert code_of(stranger.confirm("email", message["code"])) == "code_invalid"
    assert victim.profile().json()["email_verified"]


def test_idempotency_key_of_another_person_reveals_nothing(rollcall: Rollcall):
    key = {"Idempotency-Key": f"somebody-elses-{new_body()['phone']}"}
    assert rollcall.post("/api/v1/signup/", new_body(), **key).status_code == 201
    answer = rollcall.post("/api/v1/signup/", new_body(name="Eve"), **key)
    assert code_of(answer) == "idempotency_mismatch"
    assert "session" not in answer.json()
    assert "Ada" not in answer.text


@pytest.mark.parametrize("leaving", [False, True], ids=["signed out", "left"])
@pytest.mark.usefixtures("django_here")
def test_revocation_survives_a_flush_and_a_late_worker(
    rollcall: Rollcall, leaving
):
    from domain.profile import key_of
    from domain.stores import people, profiles

    someone = confirmed(rollcall)
    person_id = UUID(someone.id)
    before = people.load(person_id)
    assert before is not None
    path = "profile/" if leaving else "sessions/current/"
    assert someone.call("DELETE", path).status_code == 204
    profiles.publish(before)  # a worker that read the person before, and writes now
    assert code_of(someone.profile()) == "invalid_token"
    for late in (False, True):
        profiles.redis().delete(key_of(person_id))
        if late:  # both at once: the late one finds that it is late
            assert not profiles.publish(before)
        answers = {someone.profile().status_code for _ in range(20)}
        assert answers <= {401, 503}
        assert eventually(lambda: someone.profile().status_code == 401)


def times(calls: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Seconds that each call takes, in an order drawn by lot in each round."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name in random.sample(sorted(calls), len(calls)):
            start = time.perf_counter()
            calls[name]()
            found[name].append(time.perf_counter() - start)
    return found


def likeness(first: list[float], second: list[float]) -> float:
    """The z value of the Mann-Whitney rank sum test: within ±4 unless the two differ."""
    ranks = {value: rank for rank, value in enumerate(sorted(first + second), 1)}
    n, m = len(first), len(second)
    u = sum(ranks[value] for value in first) - n * (n + 1) / 2
    return float((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)


def test_timing_does_not_reveal_known_addresses(stack, rollcall: Rollcall, many):
    """2,000 tries with LONG=1. A difference would have to be well below the noise."""
    known, unknown = confirmed(rollcall).body["email"], new_body()["email"]

    def ask(address: str) -> Any:
        return lambda: rollcall.post("/api/v1/sessions/", {"email": address})

    def confirm(address: str) -> Any:
        return lambda: rollcall.sign_in("email", address, "000000")

    for what in (ask, confirm):
        found = times({"known": what(known), "unknown": what(unknown)}, 50 * many)
        assert abs(likeness(found["known"], found["unknown"])) < 4
        assert 0.8 < median(found["known"]) / median(found["unknown"]) < 1.25


def test_rank_sum_detects_a_timing_difference():
    slow = [0.010 + random.random() / 500 for _ in range(200)]
    fast = [0.009 + random.random() / 500 for _ in range(200)]
    assert abs(likeness(slow, fast)) > 4
