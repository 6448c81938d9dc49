"""The outbox without worker and relay, whose part the tests play."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.support.client import ApiClient
from tests.support.faults import suspended
from tests.workers.test_relay import get_outbox, get_outcomes


@pytest.fixture(scope="module", autouse=True)
def stopped_workers(stack, django_setup):
    """Has neither worker nor relay do anything, and empties the queue."""
    from huey.contrib.djhuey import HUEY

    with suspended(stack.services["relay"]):
        stack.services["worker"].kill()  # a suspended one would still take a few tasks
        HUEY.storage.flush_queue()
        yield stack
        stack.services["worker"].start()


def lease_due() -> set[int]:
    """Leases what is due, as a relay does."""
    from domain.postgres import outbox

    return {ref.id for ref in outbox.lease_due(1000)}


def process(row: Any) -> None:
    """Processes an outbox entry, as a worker does."""
    from domain.postgres import outbox
    from workers.tasks import execute

    entry = outbox.claim(row.id)
    assert entry is not None
    execute(entry)


def test_entry_is_enqueued_once_per_lease(django_db_access, api: ApiClient):
    person = api.sign_up()
    own = set(get_outbox(person).values_list("id", flat=True))
    assert not own & lease_due(), "handed out at sign-up, for a lease"
    get_outbox(person).update(due_at=ago(seconds=1))
    assert own <= lease_due()
    assert not own & lease_due()


def test_concurrent_relays_never_lease_the_same_entry(django_db_access, api: ApiClient):
    from django.db import connections

    from domain.postgres import outbox

    people = [api.sign_up() for _ in range(10)]
    for person in people:
        get_outbox(person).update(due_at=ago(seconds=1))

    def relay(_: int) -> list[int]:
        try:
            return [ref.id for _ in range(10) for ref in outbox.lease_due(3)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as relays:
        leased = list(itertools.chain(*relays.map(relay, range(4))))
    assert len(leased) == len(set(leased)) >= 30


def test_entry_is_processed_by_one_worker_once(django_db_access, api: ApiClient):
    from domain.postgres import outbox
    from workers.tasks import execute

    person = api.sign_up()
    row = get_outbox(person).get(confirmation__channel="email")
    entry = outbox.claim(row.id)
    assert entry is not None
    assert outbox.claim(row.id) is None, "another worker has it"
    execute(entry)
    assert outbox.claim(row.id) is None, "it is done"
    assert len(person.messages("email")) == 1


def test_worker_with_an_expired_lease_cannot_complete_the_entry(django_db_access, api: ApiClient):
    from domain.postgres import outbox
    from domain.postgres.models import OutboxEntry

    person = api.sign_up()
    row = get_outbox(person).get(kind="project_profile")
    later = outbox.claim(row.id)
    assert later is not None
    OutboxEntry.objects.filter(id=row.id).update(due_at=ago(seconds=1))
    assert row.id in lease_due()
    assert outbox.claim(row.id) is not None
    outbox.complete(later, outbox.Outcome(OutboxEntry.State.FAILED, "late"))
    row.refresh_from_db()
    assert (row.state, row.reason_code) == ("running", "")


def test_message_for_a_confirmed_address_is_not_sent(django_db_access, api: ApiClient):
    from django.db.models.functions import Now

    from domain.postgres.models import Confirmation

    person = api.sign_up()
    row = get_outbox(person).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(confirmed_at=Now())
    process(row)
    assert ("confirmation", "discarded", "confirmed") in get_outcomes(person)
    assert person.messages("phone") == []


def test_sms_with_an_expired_code_fails_with_its_reason(django_db_access, api: ApiClient):
    from domain.postgres.models import Confirmation

    person = api.sign_up()
    row = get_outbox(person).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(first_attempted_at=ago(minutes=10))
    process(row)
    assert ("confirmation", "failed", "code_expired") in get_outcomes(person)


def test_email_with_an_expired_code_is_sent_with_its_link(django_db_access, api: ApiClient):
    from domain.postgres.models import Confirmation

    person = api.sign_up()
    row = get_outbox(person).get(confirmation__channel="email")
    Confirmation.objects.filter(outbox=row).update(first_attempted_at=ago(minutes=15))
    process(row)
    message = person.message("email")
    assert message["code"] is None
    token = message["link"].partition("#")[2]
    response = api.post("/api/v1/confirmations/email/", {"token": token})
    assert response.status_code == 200


def test_code_lifetime_starts_at_the_first_attempt_only(django_db_access, api: ApiClient):
    from domain.postgres.models import Confirmation

    person = api.sign_up()
    row = get_outbox(person).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(first_attempted_at=ago(minutes=9), code_length=6)
    before = Confirmation.objects.get(outbox=row).first_attempted_at
    process(row)
    assert ("confirmation", "done", "") in get_outcomes(person)
    assert Confirmation.objects.get(outbox=row).first_attempted_at == before


@pytest.mark.parametrize("attempts", [1, 2, 5, 100])
def test_failed_entry_is_retried_with_backoff_and_jitter(
    django_db_access, api: ApiClient, attempts: int
):
    from django.db.models.functions import Now

    from domain.postgres import outbox
    from domain.postgres.models import OutboxEntry

    row = get_outbox(api.sign_up()).get(kind="project_profile")
    waits = set()
    for _ in range(20):
        OutboxEntry.objects.filter(id=row.id).update(state="queued", attempts=attempts - 1)
        entry = outbox.claim(row.id)
        assert entry is not None
        outbox.reschedule(entry, "timeout")
        stored = OutboxEntry.objects.annotate(now=Now()).get(id=row.id)
        waits.add((stored.due_at - stored.now).total_seconds())
        assert (stored.state, stored.reason_code) == ("pending", "timeout")
    latest = min(2.0 * 2 ** (attempts - 1), 120)
    assert latest * 0.4 < min(waits) < max(waits) <= latest
    assert max(waits) - min(waits) > latest * 0.1


def test_retry_after_of_a_provider_is_respected(django_db_access, api: ApiClient):
    from django.db.models.functions import Now

    from domain.postgres import outbox
    from domain.postgres.models import OutboxEntry

    row = get_outbox(api.sign_up()).get(kind="project_profile")
    entry = outbox.claim(row.id)
    assert entry is not None
    outbox.reschedule(entry, "rate_limited", retry_after=30)
    stored = OutboxEntry.objects.annotate(now=Now()).get(id=row.id)
    assert 29 < (stored.due_at - stored.now).total_seconds() <= 45


def ago(**units: float):
    from django.db.models.functions import Now

    return Now() - timedelta(**units)
