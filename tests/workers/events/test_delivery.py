"""No event is lost, and each person's come in order, whatever fails."""

import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby, product
from pathlib import Path
from uuid import UUID

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import find_free_port
from tests.conftest import LONG
from tests.support import fake_provider
from tests.support.client import SignedUpPerson, wait_until
from tests.support.events import EventService, start_relay
from tests.support.fake_provider import Handler, Respond
from tests.support.faults import suspended

CHANGES = 10_000 if LONG else 100
KILLS = 2 if LONG else 1
CHANGES_EACH = 10
PEOPLE = CHANGES // CHANGES_EACH
_EVENT = re.compile(r'evt_(\d+)_.*"person_id":"([^"]+)"')


class KilledReceiver:
    """A receiver in a process of its own, on one port and with one file for all its lives."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.port, self._file = find_free_port(), folder / "accepted"
        self._file.touch()
        argv = [sys.executable, "-m", "tests.support.event_receiver"]
        argv += [str(self.port), str(self._file), "0.005"]
        self.process = Process("receiver", argv, folder / "receiver.log", env=stack.environment())
        self.url = f"http://127.0.0.1:{self.port}/events"

    def accepted(self) -> list[tuple[int, str]]:
        """Returns number and person of each event that was accepted, in that order."""
        lines = self._file.read_text().split("\n")[:-1]
        return [(int(match[1]), match[2]) for match in map(_EVENT.match, lines) if match]

    def wait_for(self, count: int) -> None:
        """Returns once that many events were accepted."""
        wait_until(lambda: len(self.accepted()) >= count, timeout=600)


def count_pending() -> int:
    from domain.postgres.models import Event

    return Event.objects.filter(state="pending").count()


def change_everyone(people: list[SignedUpPerson]) -> None:
    """Changes each person once less than `CHANGES_EACH`: they have signed up."""
    from django.db import connections

    from domain.postgres.person_queries import reload_person
    from domain.postgres.unit_of_work import unit_of_work

    for person, _ in product(people, range(CHANGES_EACH - 1)):
        with unit_of_work() as uow:
            assert uow.lock_person(UUID(person.id))
            uow.update_person(reload_person(UUID(person.id)))
            uow.bump_version(UUID(person.id))
    connections.close_all()


def test_no_event_is_lost_and_all_are_in_order_while_everything_is_killed(
    service: EventService,
    writes_events: None,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    """A receiver fails a third of the requests and is killed, and so is one of the two relays; with
    LONG=1 it is killed twice, and so is the other one.
    """
    from domain.postgres.models import Event

    receiver = KilledReceiver(service.stack, tmp_path)
    relays = [start_relay(service.stack, receiver.url) for _ in range(2)]
    started_at = time.monotonic()
    try:
        receiver.process.start()
        with suspended(service.relay), ThreadPoolExecutor(4) as clients:
            sign_ups = [clients.submit(service.api.sign_up) for _ in range(PEOPLE)]
            people = [each.result() for each in sign_ups]
            parts = [people[number::4] for number in range(4)]
            changes = [clients.submit(change_everyone, part) for part in parts]
            for number, relay in enumerate(relays[:KILLS], start=1):
                receiver.wait_for(CHANGES * number // 4)
                receiver.process.kill()
                relay.kill()
                receiver.process.start()
                relay.start()
            for change in changes:
                change.result()
            wait_until(lambda: not count_pending(), timeout=600 if LONG else 120)
    finally:
        seconds = time.monotonic() - started_at
        for process in (*relays, receiver.process):
            process.kill()
    accepted = receiver.accepted()
    by_person: dict[str, list[int]] = defaultdict(list)
    for number, person_id in accepted:
        by_person[person_id].append(number)
    rows = Event.objects.filter(person_id__in=[each.id for each in people])
    written = set(rows.values_list("id", flat=True))
    assert len(written) == CHANGES
    assert written - {number for number, _ in accepted} == set(), "none is lost"
    for numbers in by_person.values():
        assert numbers == sorted(numbers), "each after the ones before, and perhaps twice in a row"
    attempts = sum(rows.values_list("attempts", flat=True))
    record_property(
        "summary",
        f"Events: {CHANGES:,} changes in {seconds:.0f} s, none lost, all in order;"
        f" {len(accepted) - len(written)} twice, {attempts:,} attempts",
    )


def respond_by_person(responses: dict[str, Respond]) -> Respond:
    """Responds as these people's events ask for; accepts all others."""

    def respond(handler: Handler) -> None:
        body = handler.request.body.decode()
        name = next((name for name in responses if name in body), "")
        responses.get(name, fake_provider.status(204, body=b""))(handler)

    return respond


@contextmanager
def failing(service: EventService, respond: Respond) -> Iterator[None]:
    """Has the receiver respond otherwise until the end of the block."""
    before, service.receiver.default_response = service.receiver.default_response, respond
    try:
        yield
    finally:
        service.receiver.default_response = before


def test_failing_event_holds_later_ones_of_its_person_alone(service: EventService):
    held, other = service.api.sign_up(), service.api.sign_up()
    service.received(held, 1)
    with failing(service, respond_by_person({held.id: fake_provider.status(500)})):
        for person in (held, other):
            for name in ("Grace", "Edith"):
                assert person.patch({"name": name}).status_code == 200
        assert [each["data"]["version"] for each in service.received(other, 3)] == [1, 2, 3]
        service.received(held, 3)
        versions = [each["data"]["version"] for each in service.received(held)]
        assert set(versions) == {1, 2}, "the second change waits for the first"
    wait_until(lambda: service.received(held)[-1]["data"]["version"] == 3)


def test_event_is_given_up_after_three_days_and_later_ones_go_on(
    service: EventService, django_db_access: None
):
    from django.core.management import call_command
    from django.db import connection

    from domain.postgres.models import Event

    person = service.api.sign_up()
    service.received(person, 1)
    refused = fake_provider.status(422)
    with failing(service, respond_by_person({f'{person.id}","version":2': refused})):
        for name in ("Grace", "Edith"):
            assert person.patch({"name": name}).status_code == 200
        service.received(person, 2)
        rows = Event.objects.filter(person_id=person.id, version=2)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rollcall_event SET first_attempted_at = now() - interval '3 days 1 minute'"
                " WHERE person_id = %s AND version = 2",
                [person.id],
            )
        wait_until(lambda: rows.get().state == "failed")
        assert rows.get().reason_code == "status_422"
        wait_until(lambda: service.received(person)[-1]["data"]["version"] == 3)
    call_command("events", "replay", "--failed")
    wait_until(lambda: rows.get().state == "delivered")
    first, *_, last = [
        each for each in service.requests_about(person) if each.json["data"]["version"] == 2
    ]
    assert first.headers["webhook-id"] == last.headers["webhook-id"]


def count_pauses(service: EventService) -> int:
    """Returns how often the relay has found that the receiver does not respond."""
    assert service.relay.log is not None
    return service.relay.log.read_text().count("event_receiver_unavailable")


def test_hanging_receiver_keeps_no_message_waiting_and_is_tried_by_one_event_at_a_time(
    service: EventService,
):
    before, pauses = len(service.receiver.requests), count_pauses(service)
    with failing(service, fake_provider.hang()):
        people = [service.api.sign_up() for _ in range(22)]
        for person in people[::8]:
            person.message("email")
        wait_until(lambda: count_pauses(service) >= pauses + 2)
        count = len(service.receiver.requests) - before
        assert count <= 4 + 9 + 5, "4 at once, 9 more until it is noticed, and a few probes"
        service.receiver.release()
    for person in people:
        service.received(person, 1)
    service.receiver.released.clear()


def test_event_of_a_killed_relay_is_delivered_by_another_in_order(service: EventService):
    person = service.api.sign_up()
    service.received(person, 1)
    with failing(service, fake_provider.hang()):
        for name in ("Grace", "Edith"):
            assert person.patch({"name": name}).status_code == 200
        service.received(person, 2)
        service.relay.kill()
        service.receiver.release()
    service.receiver.released.clear()
    service.relay.start()
    wait_until(lambda: service.received(person)[-1]["data"]["version"] == 3)
    versions = [each["data"]["version"] for each in service.received(person)]
    assert [version for version, _ in groupby(versions)] == [1, 2, 3]
    ids = [each.headers["webhook-id"] for each in service.requests_about(person)]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


def accept_once_released(handler: Handler) -> None:
    """Accepts an event, late."""
    handler.provider.released.wait()
    handler.reply(204, {}, b"")


def test_stopped_relay_delivers_what_it_has_begun(service: EventService, django_db_access: None):
    from domain.postgres.models import Event

    person = service.api.sign_up()
    service.received(person, 1)
    with failing(service, accept_once_released):
        assert person.patch({"name": "Grace"}).status_code == 200
        service.received(person, 2)
        threading.Timer(0.3, service.receiver.release).start()
        service.relay.stop(20)
    service.receiver.released.clear()
    assert Event.objects.get(person_id=person.id, version=2).state == "delivered"
    service.relay.start()


def test_relay_that_was_suspended_past_its_lease_breaks_no_order(service: EventService):
    """Another one has taken over what it was sending; it does not go on with the next one."""
    person = service.api.sign_up()
    service.received(person, 1)
    with failing(service, fake_provider.hang()):
        for name in ("Grace", "Edith", "Mary"):
            assert person.patch({"name": name}).status_code == 200
        service.received(person, 2)
        with suspended(service.relay):
            service.receiver.default_response = fake_provider.status(204, body=b"")
            other = start_relay(service.stack, service.receiver.url)
            try:
                wait_until(lambda: service.received(person)[-1]["data"]["version"] == 4)
            finally:
                other.kill()
    service.receiver.release()
    service.receiver.released.clear()
    later = service.api.sign_up()
    service.received(later, 1)
    versions = [each["data"]["version"] for each in service.received(person)]
    assert [version for version, _ in groupby(versions)] == [1, 2, 3, 4]


def test_delivery_survives_the_loss_of_its_connection_to_postgres(
    service: EventService, django_db_access: None
):
    from django.db import connection

    def end_connection() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND query LIKE '%AS blocked_until%'"
            )
            return int(cursor.rowcount)

    people = []
    for _ in range(3):
        people += [service.api.sign_up() for _ in range(3)]
        wait_until(end_connection)
    for person in people:
        assert service.received(person, 1)[0]["type"] == "person.created"
    assert not service.relay.wait(), "it has not exited"


def test_relay_survives_an_error_in_the_delivery_of_events(
    service: EventService, django_db_access: None
):
    """Such as a migration that was not applied."""
    from django.db import connection

    log = service.relay.log
    assert log is not None
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rollcall_event RENAME TO elsewhere")
        try:
            wait_until(lambda: "event_delivery_failed" in log.read_text())
        finally:
            cursor.execute("ALTER TABLE elsewhere RENAME TO rollcall_event")
    person = service.api.sign_up()
    service.received(person, 1)
    assert not service.relay.wait(), "it has not exited"
