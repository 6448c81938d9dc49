"""Rolling change of SECRET_KEY: processes with the old and the new configuration side by side.

Step 1 announces the new key in SECRET_KEY_FALLBACKS of every process; step 2 signs with it.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    extra_service,
    problem_code,
    sign_up_payload,
    wait_until,
)
from tests.support.locks import block_writes
from tests.support.workers import UseWorker, replaceable_worker

NEW_KEY = "the-secret-of-next-year-that-no-other-test-signs-anything-with"
pytestmark = pytest.mark.usefixtures("django_db_access")


@pytest.fixture(scope="module")
def keyrings(stack: Stack) -> dict[str, dict[str, str]]:
    """The environments of the two steps; before them, processes have the old key alone."""
    old = stack.environment()["SECRET_KEY"]
    return {
        "old": {},
        "announced": {"SECRET_KEY": old, "SECRET_KEY_FALLBACKS": NEW_KEY},
        "swapped": {"SECRET_KEY": NEW_KEY, "SECRET_KEY_FALLBACKS": old},
    }


@pytest.fixture(scope="module")
def services(stack: Stack, keyrings: dict[str, dict[str, str]]) -> Iterator[dict[str, ApiClient]]:
    """Clients of a read and a write process for each configuration, and one for both steps'
    messages: a worker that knows both keys.
    """
    with (
        extra_service(stack, **keyrings["announced"]) as (_, announced),
        extra_service(stack, **keyrings["swapped"]) as (_, swapped),
        httpx.Client(base_url=stack.url, timeout=20) as http,
        httpx.Client(base_url=announced, timeout=20) as http_announced,
        httpx.Client(base_url=swapped, timeout=20) as http_swapped,
    ):
        yield {
            "old": ApiClient(http),
            "announced": ApiClient(http_announced),
            "swapped": ApiClient(http_swapped),
        }


@pytest.fixture(scope="module")
def use_worker(stack: Stack, keyrings: dict[str, dict[str, str]]) -> Iterator[UseWorker]:
    """Runs a worker with the keys of that name, and more environment."""
    with replaceable_worker(stack) as use:
        yield lambda name="announced", **env: use(**keyrings[name], **env)


STEPS = [("old", "announced"), ("announced", "swapped")]
# All four with LONG=1, else one of each step.
PAIRS = [pair for step in STEPS for pair in (step, step[::-1])][
    :: 1 if os.environ.get("LONG") else 3
]


def at(person: SignedUpPerson, api: ApiClient) -> SignedUpPerson:
    """Returns a person as a client of another service."""
    other = person.with_token(person.token)
    other.api = api
    return other


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_session_of_one_process_is_read_and_written_by_the_other(services, first, second):
    person = at(services[first].sign_up(), services[second])
    assert person.profile().status_code == 200
    assert person.patch({"name": "Grace"}).json()["name"] == "Grace"
    assert at(person, services[first]).profile().json()["name"] == "Grace"
    assert person.request("DELETE", "sessions/current/").status_code == 204
    assert problem_code(at(person, services[first]).profile()) == "invalid_token"


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_refresh_is_repeated_with_the_same_token_by_the_other(services, first, second):
    person = services[first].sign_up()
    path = "sessions/current/refresh/"
    answers = [at(person, services[name]).request("POST", path).json() for name in (first, second)]
    assert answers[0] == answers[1]
    assert at(person, services[second]).profile().status_code == 200


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_idempotency_key_is_replayed_by_the_other_process(services, first, second):
    body = sign_up_payload()
    headers = {"Idempotency-Key": f"in-a-rotation-{body['phone']}"}
    created = services[first].post("/api/v1/signup/", body, **headers)
    replayed = services[second].post("/api/v1/signup/", body, **headers)
    assert (created.status_code, replayed.status_code) == (201, 201)
    assert replayed.headers["idempotency-replayed"] == "true"
    assert created.json()["id"] == replayed.json()["id"]
    mismatch = services[second].post("/api/v1/signup/", body | {"name": "Eve"}, **headers)
    assert problem_code(mismatch) == "idempotency_mismatch"


def test_one_idempotency_key_at_processes_of_both_keys_creates_one_person(
    stack, services: dict[str, ApiClient]
):
    """The first is held where it has inserted the person, and not yet its key."""
    from domain.postgres.models import Person

    body = sign_up_payload()
    headers = {"Idempotency-Key": f"both-at-once-{body['phone']}"}

    def sign_up(name: str) -> httpx.Response:
        return services[name].post("/api/v1/signup/", body, **headers)

    with ThreadPoolExecutor() as threads, block_writes(stack, "rollcall_idempotencykey") as waiting:
        first = threads.submit(sign_up, "announced")
        wait_until(waiting)
        assert problem_code(sign_up("swapped")) == "idempotency_in_progress"
    assert first.result().status_code == 201
    many = range(12)
    with ThreadPoolExecutor(len(many)) as threads:
        others = list(threads.map(sign_up, [STEPS[1][number % 2] for number in many]))
    assert {response.status_code for response in others} <= {201, 409}
    assert Person.objects.filter(phone=body["phone"]).count() == 1


# In this order a worker with other keys is started seldom.


def get_entries(person: SignedUpPerson, kind: str) -> set[tuple[str, str]]:
    from domain.postgres.models import OutboxEntry

    rows = OutboxEntry.objects.filter(person_id=person.id, kind=kind)
    return set(rows.values_list("state", "reason_code"))


def test_message_whose_key_no_worker_has_is_given_up_once_it_is_of_no_use(services, use_worker):
    from tests.support import clock

    use_worker("old")
    person = services["swapped"].sign_up()
    wait_until(lambda: get_entries(person, "confirmation") == {("pending", "key_unknown")})
    clock.advance_time(timedelta(hours=25), person.id)
    wait_until(lambda: get_entries(person, "confirmation") == {("failed", "key_unknown")})


def test_worker_without_the_key_of_a_code_leaves_it_to_one_that_has_it(services, use_worker):
    """Its lifetime does not begin before: nothing was sent."""
    from domain.postgres.models import SignInChallenge

    use_worker("old")
    known = at(services["old"].sign_up(), services["announced"])
    assert known.confirm("email").status_code == 200
    person = services["swapped"].sign_up()
    challenge = services["swapped"].request_challenge(email=known.body["email"])
    postponed = {("pending", "key_unknown")}
    wait_until(lambda: get_entries(person, "confirmation") == postponed)
    wait_until(lambda: get_entries(known, "sign_in_code") == postponed)
    row = SignInChallenge.objects.get(person_id=known.id)
    assert (row.first_attempted_at, row.code_length) == (None, None)
    use_worker()
    assert person.confirm("phone").status_code == 200
    assert person.confirm("email").status_code == 200
    wait_until(lambda: len(known.messages("email")) == 2)
    code = known.message("email")["code"]
    assert services["swapped"].sign_in(challenge, code).status_code == 201


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_code_link_and_challenge_of_one_process_are_confirmed_by_the_other(
    services, use_worker, first, second
):
    use_worker()
    person = services[first].sign_up()
    other = at(person, services[second])
    assert other.confirm("phone").status_code == 200
    token = {"token": person.message("email")["link"].partition("#")[2]}
    assert other.api.post("/api/v1/confirmations/email/", token).status_code == 200
    for channel in ("phone", "email"):  # the latter resets what the session from before verified
        challenge, code = person.request_code(channel)
        assert other.api.sign_in(challenge, code).status_code == 201


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_network_that_was_used_before_is_known_to_the_other_process(
    services, use_worker, first, second
):
    from domain.postgres.models import KnownNetwork, SignInChallenge

    use_worker()
    person = services[first].sign_up()
    assert person.confirm("email").status_code == 200
    other = at(person, services[second])
    challenge, code = other.request_code()
    assert SignInChallenge.objects.get(person_id=person.id).from_known_network
    assert other.api.sign_in(challenge, code).status_code == 201
    assert KnownNetwork.objects.filter(person_id=person.id).count() == 1


def test_failed_attempts_at_processes_of_both_keys_are_counted_together(services, use_worker):
    use_worker()
    person = services["announced"].sign_up()
    assert person.confirm("email").status_code == 200
    for name in ("announced", "swapped", "announced"):
        other = at(person, services[name])
        challenge, code = other.request_code()
        assert len(code) == 6
        wrong = ("1" if code[0] == "0" else "0") + code[1:]
        for _ in range(5):
            assert problem_code(other.api.sign_in(challenge, wrong)) == "code_invalid"
    assert [len(at(person, services[name]).request_code()[1]) for name in STEPS[1]] == [10, 10]


def test_message_quota_is_used_up_by_messages_of_both_keys(services, use_worker):
    from domain.postgres.models import OutboxEntry

    email = sign_up_payload()["email"]

    def sign_up(name: str) -> str:
        person = services[name].sign_up(email=email)
        entry = OutboxEntry.objects.filter(
            person_id=person.id, kind="confirmation", confirmation__channel="email"
        )
        wait_until(lambda: entry.get().state in ("done", "pending") and entry.get().attempts > 0)
        return str(entry.get().reason_code or entry.get().state)

    use_worker("announced")
    assert sign_up("announced") == "done"
    use_worker("swapped", MESSAGES_PER_DAY="2")
    assert [sign_up("swapped"), sign_up("announced")] == ["done", "address_quota"]
