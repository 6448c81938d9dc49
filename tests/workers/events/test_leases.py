"""Leases of events, as several processes take them at the same moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event as ThreadingEvent
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.client import wait_until
from tests.support.events import EventService


@pytest.fixture(autouse=True)
def no_relay(service: EventService, django_db_access: None) -> Iterator[None]:
    """Nothing else delivers what these tests lease."""
    from domain.postgres.models import Event

    service.relay.kill()
    Event.objects.filter(state="pending").delete()
    yield
    Event.objects.filter(state="pending").delete()
    service.relay.start()


def add_events(count: int, person_id: UUID | None = None) -> UUID:
    """Adds events of a person; returns the person's id."""
    from domain.postgres.models import Event

    person_id = person_id or uuid4()
    Event.objects.bulk_create(
        Event(kind="profile.changed", person_id=person_id, version=number)
        for number in range(1, count + 1)
    )
    return person_id


def lease(limit: int = 100) -> list[Any]:
    from domain.postgres import event_leases

    return event_leases.lease_due(limit)[0]


def deliver(event: Any) -> list[Any]:
    """Records that an event was delivered; returns the next one of the person, leased."""
    from domain.postgres import event_leases

    event_leases.record([event_leases.EventOutcome(event)])
    return event_leases.lease_next([event.person_id])


def is_waiting_for_a_row() -> bool:
    """Returns whether a process waits for a row of events that another one has locked."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
            " current_database() AND query LIKE '%rollcall_event%'"
        )
        return cursor.fetchone() is not None


def test_only_the_first_event_of_a_person_is_leased_and_its_owner_goes_on():
    person, other = add_events(3), add_events(1)
    leased = {each.person_id: each for each in lease()}
    assert {key: each.version for key, each in leased.items()} == {person: 1, other: 1}
    assert lease() == [], "the others wait, also for another process"
    (second,) = deliver(leased[person])
    assert second.version == 2
    assert lease() == []
    (third,) = deliver(second)
    assert third.version == 3
    assert deliver(third) == []


def test_next_event_that_another_process_has_leased_is_left_to_it():
    from domain.postgres import event_leases

    person = add_events(1)
    (first,) = lease()
    event_leases.record([event_leases.EventOutcome(first)])
    add_events(1, person)
    assert len(lease()) == 1
    assert event_leases.lease_next([person]) == []


def test_outcome_of_a_lease_that_another_process_has_taken_over_is_ignored():
    from domain.postgres import event_leases
    from domain.postgres.models import Event

    person = add_events(1)
    (late,) = lease()
    Event.objects.filter(person_id=person).update(due_at="2026-01-01T00:00Z")
    (current,) = lease()
    assert event_leases.record([event_leases.EventOutcome(late)]) == []
    assert event_leases.record([event_leases.EventOutcome(current)]) == [(person, "delivered")]


def test_event_that_another_process_is_about_to_postpone_is_not_kept_waiting():
    """It has found the first one unfinished; that one is finished before it commits."""
    from django.db import connection, transaction

    add_events(1)
    (first,) = lease()
    add_events(1, first.person_id)
    has_found, may_commit = ThreadingEvent(), ThreadingEvent()

    def find() -> list[Any]:
        try:
            with transaction.atomic():
                leased = lease()
                has_found.set()
                assert may_commit.wait(30)
                return leased
        finally:
            connection.close()

    def go_on() -> list[Any]:
        try:
            return deliver(first)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as processes:
        finding = processes.submit(find)
        assert has_found.wait(30)
        going_on = processes.submit(go_on)
        wait_until(lambda: going_on.done() or is_waiting_for_a_row())
        may_commit.set()
        assert finding.result() == []
        assert len(going_on.result()) == 1


def test_person_with_many_events_keeps_others_waiting_for_a_few_queries_only():
    busy, other = add_events(500), add_events(1)
    found = []
    for _ in range(40):
        found += [each.person_id for each in lease(16)]
    assert found == [busy, other]
