"""The outbox, row by row, while no worker and no relay run: the test plays their part."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.someone import Rollcall
from tests.test_workers import ends_of, rows_of


@pytest.fixture(scope="module", autouse=True)
def resting(stack, django_is_set_up):
    """No worker and no relay run, and the queue is empty, while the test plays their part."""
    from huey.contrib.djhuey import HUEY

    stack.services["worker"].stop()
    stack.services["relay"].stop()
    HUEY.storage.flush_queue()
    yield stack
    stack.restart("worker")
    stack.restart("relay")


def work_on(row: Any) -> None:
    """Do what an outbox row asks for, as a worker does."""
    from domain.stores import outbox
    from workers.tasks import carry_out

    job = outbox.claim(row.id)
    assert job is not None
    carry_out(job)


def test_entry_is_enqueued_once_per_lease(django_here, rollcall: Rollcall):
    from domain.stores import outbox

    someone = rollcall.sign_up()
    ours = set(rows_of(someone).values_list("id", flat=True))
    assert not ours & set(outbox.hand_out(1000)), "handed out at sign-up, for a lease"
    rows_of(someone).update(due_at=time_ago(seconds=1))
    assert ours <= set(outbox.hand_out(1000))
    assert not ours & set(outbox.hand_out(1000))


def test_concurrent_relays_never_lease_the_same_entry(django_here, rollcall: Rollcall):
    from django.db import connections

    from domain.stores import outbox

    people = [rollcall.sign_up() for _ in range(10)]
    for someone in people:
        rows_of(someone).update(due_at=time_ago(seconds=1))

    def relay(_: int) -> list[int]:
        try:
            return [row for _ in range(10) for row in outbox.hand_out(3)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as relays:
        handed = list(itertools.chain(*relays.map(relay, range(4))))
    assert len(handed) == len(set(handed)) >= 30


def test_entry_is_processed_by_one_worker_once(django_here, rollcall: Rollcall):
    from domain.stores import outbox
    from workers.tasks import carry_out

    someone = rollcall.sign_up()
    row = rows_of(someone).get(confirmation__channel="email")
    job = outbox.claim(row.id)
    assert job is not None
    assert outbox.claim(row.id) is None, "another worker has it"
    carry_out(job)
    assert outbox.claim(row.id) is None, "it is done"
    assert len(someone.messages("email")) == 1


def test_worker_with_an_expired_lease_cannot_complete_the_entry(
    django_here, rollcall: Rollcall
):
    from domain.stores import outbox
    from domain.stores.models import Outbox

    someone = rollcall.sign_up()
    row = rows_of(someone).get(kind="profile")
    late = outbox.claim(row.id)
    assert late is not None
    Outbox.objects.filter(id=row.id).update(due_at=time_ago(seconds=1))
    assert row.id in outbox.hand_out(1000)
    assert outbox.claim(row.id) is not None
    outbox.finish(late, outbox.End(Outbox.State.FAILED, "late"))
    row.refresh_from_db()
    assert (row.state, row.reason) == ("working", "")


def test_message_for_a_confirmed_address_is_not_sent(django_here, rollcall: Rollcall):
    from django.db.models.functions import Now

    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    row = rows_of(someone).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(confirmed_at=Now())
    work_on(row)
    assert ("confirmation", "dropped", "confirmed") in ends_of(someone)
    assert someone.messages("phone") == []


def test_sms_with_an_expired_code_fails_with_its_reason(django_here, rollcall: Rollcall):
    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    row = rows_of(someone).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(first_sent_at=time_ago(minutes=10))
    work_on(row)
    assert ("confirmation", "failed", "code_expired") in ends_of(someone)


def test_email_with_an_expired_code_is_sent_with_its_link(django_here, rollcall: Rollcall):
    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    row = rows_of(someone).get(confirmation__channel="email")
    Confirmation.objects.filter(outbox=row).update(first_sent_at=time_ago(minutes=15))
    work_on(row)
    message = someone.message("email")
    assert message["code"] is None
    token = message["link"].partition("#")[2]
    answer = rollcall.post("/api/v1/confirmations/email/", {"token": token})
    assert answer.status_code == 200


def test_code_lifetime_starts_at_the_first_attempt_only(
    django_here, rollcall: Rollcall
):
    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    row = rows_of(someone).get(confirmation__channel="phone")
    Confirmation.objects.filter(outbox=row).update(first_sent_at=time_ago(minutes=9))
    before = Confirmation.objects.get(outbox=row).first_sent_at
    work_on(row)
    assert ("confirmation", "done", "") in ends_of(someone)
    assert Confirmation.objects.get(outbox=row).first_sent_at == before


@pytest.mark.parametrize("attempts", [1, 2, 5, 100])
def test_failed_entry_is_retried_with_backoff_and_jitter(
    django_here, rollcall: Rollcall, attempts: int
):
    from django.db.models.functions import Now

    from domain.stores import outbox
    from domain.stores.models import Outbox

    row = rows_of(rollcall.sign_up()).get(kind="profile")
    waits = set()
    for _ in range(20):
        Outbox.objects.filter(id=row.id).update(state="queued", attempts=attempts - 1)
        job = outbox.claim(row.id)
        assert job is not None
        outbox.retry_later(job, "timeout")
        found = Outbox.objects.annotate(now=Now()).get(id=row.id)
        waits.add((found.due_at - found.now).total_seconds())
        assert (found.state, found.reason) == ("waiting", "timeout")
    most = min(2.0 * 2 ** (attempts - 1), 120)
    assert most * 0.4 < min(waits) < max(waits) <= most
    assert max(waits) - min(waits) > most * 0.1


def test_retry_after_of_a_provider_is_respected(django_here, rollcall: Rollcall):
    from django.db.models.functions import Now

    from domain.stores import outbox
    from domain.stores.models import Outbox

    row = rows_of(rollcall.sign_up()).get(kind="profile")
    job = outbox.claim(row.id)
    assert job is not None
    outbox.retry_later(job, "rate_limited", retry_after=30)
    found = Outbox.objects.annotate(now=Now()).get(id=row.id)
    assert 29 < (found.due_at - found.now).total_seconds() <= 45


def test_old_finished_entries_are_purged_and_unfinished_ones_are_not(django_here, rollcall: Rollcall):
    from domain.stores import outbox
    from domain.stores.models import Outbox

    someone = rollcall.sign_up()
    closed = rows_of(someone).filter(kind="profile")
    closed.update(state="done", finished_at=time_ago(days=8))
    rows_of(someone).filter(kind="confirmation").update(created_at=time_ago(days=80))
    assert outbox.purge(timedelta(days=7)) >= 1
    assert not closed.exists()
    assert rows_of(someone).count() == 2
    assert Outbox.objects.filter(finished_at__lt=time_ago(days=7)).count() == 0


def time_ago(**ago: float):
    from django.db.models.functions import Now

    return Now() - timedelta(**ago)
