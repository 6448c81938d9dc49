"""Known addresses are indistinguishable from unknown ones by all that a client can see."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.client import ApiClient, SignedUpPerson, problem_code, sign_up_payload
from tests.support.enumeration import ARMS, CHANNELS, attack
from tests.support.faults import suspended
from tests.support.timing import Response

# What differs between two statements of one kind.
LITERAL = re.compile(r"'[^']*'(::\w+)?|\bNULL\b|\b(true|false)\b|\s*-?\b\d+\b")


class StatementRecorder:
    """Sends requests to Django in this process; each response has the statements in a header."""

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            response = Client().post(
                f"/api/v1/{path}",
                body or "",
                "application/json",
                headers={"Host": "localhost"} | headers,
            )
        statements = [LITERAL.sub("?", query["sql"]) for query in captured.captured_queries]
        return Response(response.status_code, {"statements": str(statements)}, response.json(), 0)


def test_same_statements_are_executed_for_every_address(django_db_access, api: ApiClient):
    """A difference in the work is one in time, however small."""
    people = {"verified": sign_up_confirmed(api), "claimed": api.sign_up()}
    bodies = {arm: people[arm].body if arm in people else sign_up_payload() for arm in ARMS}
    for channel in CHANNELS:
        shapes: dict[str, set[str]] = defaultdict(set)
        for body in bodies.values():
            for step, response in attack(StatementRecorder(), {channel: body[channel]}):
                shapes[step].add(response.shape())
        assert {step: found for step, found in shapes.items() if len(found) > 1} == {}
        assert "rollcall_signinchallenge" in str(shapes["sign-in request"])


@contextmanager
def sending(*rows: Any) -> Iterator[None]:
    """Holds the locks of workers that are about to send these rows' messages."""
    from django.db import transaction

    from domain.model.address import Address, Channel
    from domain.postgres import message_quotas

    with transaction.atomic():
        for row in rows:
            address = Address(Channel(row.channel), getattr(row.person, row.channel))
            message_quotas.reserve_sending(row, "purpose", address)
        yield


def test_no_request_waits_for_a_worker_that_sends(stack, django_db_access, api: ApiClient):
    """Only for known addresses it would: an attempt at the message's own row waits in any case."""
    from django.db.models.functions import Now

    from domain.postgres.models import Confirmation, SignInChallenge

    owner = sign_up_confirmed(api)
    addresses = {channel: owner.body[channel] for channel in CHANNELS}
    owner.wait_for_outbox()  # or the worker may have locks
    with suspended(stack.services["worker"]):
        claim = api.sign_up(**addresses)
        guesses = [api.request_challenge(**{name: value}) for name, value in addresses.items()]
        sent = api.sign_up(**addresses)
        for name, value in addresses.items():
            api.request_challenge(**{name: value})
        challenges = SignInChallenge.objects.filter(person_id=owner.id).order_by("-id")[:2]
        confirmations = Confirmation.objects.filter(person_id=sent.id)
        rows = [
            row
            for table in (challenges, confirmations)
            for row in table.select_related("person").annotate(now=Now())
        ]
        with sending(*rows):  # a request that waits for a lock ends as a 503
            assert {api.sign_in(each, "000000").status_code for each in guesses} == {400}
            for name, value in addresses.items():
                assert api.post("/api/v1/sessions/", {name: value}).status_code == 202
                assert claim.confirm(name, "000000").status_code == 400
                path = f"confirmations/{name}/resend/"
                assert claim.request("POST", path).status_code == 202
            assert api.sign_up(**addresses).profile().status_code == 200


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
