"""`manage.py events`."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.admin_client import TableParser, admin_session, form_origin
from tests.support.client import SignedUpPerson, wait_until
from tests.support.events import EventService


def run(*arguments: str) -> str:
    from django.core.management import call_command

    printed = io.StringIO()
    call_command("events", *arguments, stdout=printed)
    return printed.getvalue()


def deliveries(service: EventService, person: SignedUpPerson) -> list[int]:
    """Returns the versions of a person's events in the order of arrival."""
    return [each["data"]["version"] for each in service.received(person)]


@pytest.fixture
def person(service: EventService, django_db_access: None) -> SignedUpPerson:
    """A person with two events, which were delivered."""
    from domain.postgres.models import Event

    person = service.api.sign_up()
    assert person.patch({"name": "Grace"}).status_code == 200
    rows = Event.objects.filter(person_id=person.id, state="delivered")
    wait_until(lambda: rows.count() == 2)
    return person


def test_status_counts_what_waits(service: EventService, person: SignedUpPerson):
    lines = run("status").splitlines()
    assert [line.split()[0] for line in lines] == ["pending", "failed", "The"]


def test_list_shows_events_without_personal_data(service: EventService, person: SignedUpPerson):
    lines = run("list", "--person", person.id).splitlines()
    assert [line.split()[4] for line in lines] == ["profile.changed", "person.created"]
    assert all(line.split()[5:7] == ["delivered", "1"] for line in lines)
    assert person.body["email"] not in "".join(lines)
    assert len(run("list", "--state", "delivered", "--limit", "2").splitlines()) == 2


def test_events_of_a_person_are_replayed_in_order_with_their_ids(
    service: EventService, person: SignedUpPerson
):
    assert run("replay", "--person", person.id) == "2 events are delivered again.\n"
    wait_until(lambda: deliveries(service, person) == [1, 2, 1, 2])
    ids = [each.headers["webhook-id"] for each in service.requests_about(person)]
    assert ids[:2] == ids[2:]


def test_event_is_replayed_by_its_webhook_id(service: EventService, person: SignedUpPerson):
    webhook_id = service.requests_about(person)[1].headers["webhook-id"]
    assert run("replay", "--id", webhook_id) == "1 events are delivered again.\n"
    wait_until(lambda: deliveries(service, person) == [1, 2, 2])


def test_events_since_a_time_are_replayed_once(service: EventService, person: SignedUpPerson):
    from domain.postgres.models import Event

    created_at = Event.objects.filter(person_id=person.id).earliest("id").created_at
    assert "events are delivered again" in run("replay", "--since", created_at.isoformat())
    wait_until(lambda: deliveries(service, person) == [1, 2, 1, 2])
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert run("replay", "--since", later) == "0 events are delivered again.\n"


def test_replay_of_everything_must_be_asked_for(person: SignedUpPerson):
    from django.core.management import CommandError

    with pytest.raises(CommandError):
        run("replay")


def test_delivered_events_are_purged_and_waiting_ones_are_not(
    person: SignedUpPerson, django_db_access: None
):
    from domain.postgres import purge
    from domain.postgres.models import Event

    delivered = Event.objects.filter(person_id=person.id)
    long_ago = datetime.now(UTC) - timedelta(days=30)
    first, second = delivered.order_by("id")
    delivered.update(created_at=long_ago)
    delivered.filter(id=first.id).update(finished_at=long_ago)
    delivered.filter(id=second.id).update(
        state="pending", finished_at=None, due_at=datetime.now(UTC) + timedelta(hours=1)
    )
    purge.delete_batch(purge.get_expiries()["events"])
    assert list(delivered.values_list("id", flat=True)) == [second.id]
    delivered.delete()


def test_staff_find_events_by_state_and_deliver_them_again(
    service: EventService, person: SignedUpPerson
):
    from domain.postgres.models import Event

    page = "/admin/rollcall/event/"
    event = Event.objects.get(person_id=person.id, version=2)
    with admin_session(service.stack) as staff:
        lists = [staff.get(page), staff.get(page, params={"state__exact": "delivered"})]
        found = staff.get(page, params={"q": person.id, "state__exact": "delivered"})
        assert all("profile.changed" in each.text for each in [*lists, found])
        assert "profile.changed" not in staff.get(f"{page}?q={person.id}&state__exact=failed").text
        assert person.body["email"] not in found.text
        data = {
            "csrfmiddlewaretoken": TableParser(found.text).csrf,
            "action": "deliver_again",
            "_selected_action": str(event.id),
        }
        shown = staff.post(
            page,
            params={"q": person.id},
            data=data,
            headers={"Origin": form_origin(found)},
            follow_redirects=True,
        )
    assert "1 of 1 are delivered again" in shown.text
    wait_until(lambda: deliveries(service, person) == [1, 2, 2])
