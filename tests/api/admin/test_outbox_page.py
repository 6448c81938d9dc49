"""The outbox in the admin: what waits and what failed, to retry it or give it up."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from local.stack import Stack
from tests.api.admin.test_admin import log_in
from tests.support.admin_client import TableParser, admin_session, form_origin
from tests.support.client import ApiClient, SignedUpPerson, wait_until

OUTBOX = "/admin/rollcall/outboxentry/"
PEOPLE = "/admin/rollcall/person/"
STATES = ["open", "due", "pending", "queued", "running", "failed", "discarded", "done"]


@pytest.fixture(scope="module")
def staff(stack: Stack) -> Iterator[httpx.Client]:
    with admin_session(stack) as browser:
        yield browser


@pytest.fixture
def person(django_db_access: None, api: ApiClient) -> SignedUpPerson:
    """A person whose messages were sent."""
    person = api.sign_up()
    person.wait_for_outbox()
    return person


def entry_of(person: SignedUpPerson, **changes: Any) -> Any:
    """Returns the outbox entry of the person's e-mail, with its row changed."""
    from domain.postgres.models import OutboxEntry

    entry = OutboxEntry.objects.get(person_id=person.id, confirmation__channel="email")
    OutboxEntry.objects.filter(id=entry.id).update(**changes)
    return OutboxEntry.objects.get(id=entry.id)


def waiting(**changes: Any) -> dict[str, Any]:
    """The columns of an entry that waits for an hour after a failure."""
    from django.db.models.functions import Now

    due_at = Now() + timedelta(hours=1)
    columns = {"state": "pending", "reason_code": "provider_error", "due_at": due_at}
    return columns | {"finished_at": None, **changes}


def list_ids(browser: httpx.Client, **query: str) -> list[int]:
    page = browser.get(OUTBOX, params=query)
    assert page.status_code == 200
    return [int(number) for number in re.findall(rf'href="{OUTBOX}(\d+)/change/', page.text)]


def run_action(browser: httpx.Client, action: str, person: SignedUpPerson, *ids: int) -> str:
    """Selects entries of the person and runs an action; returns what is shown after that."""
    page = browser.get(PEOPLE)
    data = {
        "csrfmiddlewaretoken": TableParser(page.text).csrf,
        "action": action,
        "_selected_action": [str(number) for number in ids],
    }
    response = browser.post(
        OUTBOX,
        params={"q": person.id},
        data=data,
        headers={"Origin": form_origin(page)},
        follow_redirects=True,
    )
    return response.text


def get_log(entry: Any) -> list[tuple[str, str]]:
    from django.contrib.admin.models import LogEntry

    rows = LogEntry.objects.filter(object_id=entry.id, content_type__model="outboxentry")
    return list(rows.values_list("user__username", "change_message"))


# --- finding -------------------------------------------------------------------------------------


def test_page_shows_open_entries_oldest_first_and_why_they_wait(staff, api, person):
    other = api.sign_up()
    other.wait_for_outbox()
    newer, older = entry_of(other, **waiting()), entry_of(person, **waiting())
    for query in ({}, {"state__exact": "pending"}, {"reason_code": "provider_error"}):
        shown = [number for number in list_ids(staff, **query) if number in (newer.id, older.id)]
        assert shown == sorted([older.id, newer.id]), query
    assert older.id not in list_ids(staff, state__exact="due")
    assert re.search(r"provider_error \(\d+\)", staff.get(OUTBOX).text)
    run_action(staff, "retry_now", person, older.id)
    run_action(staff, "retry_now", other, newer.id)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "pending"}, {"open", "pending"}),
        ({"state": "running", "lease_token": UUID(int=1)}, {"open", "running"}),
        ({"state": "failed"}, {"failed"}),
        ({"state": "discarded"}, {"discarded"}),
        ({"state": "done"}, {"done"}),
    ],
)
def test_each_state_has_its_entries(staff, person, changes, expected):
    from django.db.models.functions import Now

    finished_at = None if "open" in expected else Now()
    entry = entry_of(person, **waiting(**changes, finished_at=finished_at))
    found = {s for s in STATES if entry.id in list_ids(staff, state__exact=s, q=person.id)}
    assert found == expected
    if "done" not in expected:
        assert entry.id in list_ids(staff, state__exact=changes["state"])
    entry_of(person, state="done", lease_token=None, finished_at=Now())


def test_search_by_address_leaves_no_address_in_a_url(staff, person):
    page = staff.get(OUTBOX)
    for path in (OUTBOX, PEOPLE):
        for text in (person.body["email"], f" {person.body['phone']} ", person.id):
            data = {"search": text, "csrfmiddlewaretoken": TableParser(page.text).csrf}
            response = staff.post(path, data=data, headers={"Origin": form_origin(page)})
            assert response.status_code == 302
            assert response.headers["location"] == f"{path}?q={person.id}"
    assert len(list_ids(staff, q=person.id)) == 3, "of all states"
    assert list_ids(staff, q="nobody") == []
    assert 'method="get"' not in page.text


def test_no_list_of_the_admin_reads_a_whole_table(django_db_access, person):
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(HTTP_HOST="localhost")
    client.force_login(get_user_model().objects.get(username="staff"))
    paths = [f"{OUTBOX}?state__exact={state}&reason_code=x" for state in STATES]
    paths += [f"{OUTBOX}?q={person.id}", PEOPLE, f"{PEOPLE}?q={person.body['email']}"]
    paths += [f"{PEOPLE}{person.id}/change/", "/admin/rollcall/tombstone/"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for path in paths:
            assert client.get(path).status_code == 200
    selects = {q["sql"] for q in queries if 'FROM "rollcall_' in q["sql"]}
    assert len(selects) > len(paths)
    counts = [select for select in selects if "COUNT(" in select]
    assert [select for select in counts if "LIMIT" not in select] == []
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for select in selects:
            cursor.execute(f"EXPLAIN {select}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan" not in plan, f"{select}\n{plan}"


# --- doing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_retried_entry_is_done_at_once_and_logged(staff, person, state):
    from django.db.models.functions import Now

    is_finished = state == "failed"
    entry = entry_of(person, **waiting(state=state, finished_at=Now() if is_finished else None))
    sent = len(person.messages("email"))
    assert "1 of 1 handed to the workers" in run_action(staff, "retry_now", person, entry.id)
    wait_until(lambda: entry_of(person).state == "done")
    assert len(person.messages("email")) == sent + 1
    assert get_log(entry) == [("staff", "retried")]


def test_message_that_was_given_up_is_failed_and_logged(staff, person):
    entry = entry_of(person, **waiting())
    assert "1 of 1 given up" in run_action(staff, "give_up", person, entry.id)
    entry = entry_of(person)
    assert (entry.state, entry.reason_code) == ("failed", "given_up")
    assert person.request("GET", "confirmations/").json()["email"]["status"] == "failed"
    assert get_log(entry) == [("staff", "given up")]


def test_projection_and_what_is_finished_are_not_given_up(staff, person):
    from domain.postgres.models import OutboxEntry

    projection = OutboxEntry.objects.filter(person_id=person.id, kind="project_profile")
    projection.update(**waiting())
    number, done = projection.get().id, entry_of(person)
    assert "0 of 2 given up" in run_action(staff, "give_up", person, number, done.id)
    assert (projection.get().state, entry_of(person).state) == ("pending", "done")
    assert get_log(projection.get()) == get_log(done) == []
    run_action(staff, "retry_now", person, number)


def test_message_that_a_worker_has_just_claimed_is_not_given_up(staff, person):
    from django.db import transaction

    from domain.postgres import outbox

    entry = entry_of(person, **waiting(state="queued"))
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():  # this process is the worker, the other the write process
            assert outbox.claim(entry.id)
            page = thread.submit(run_action, staff, "give_up", person, entry.id)
            wait_until(is_waiting_for_a_lock)
        assert "0 of 1 given up" in page.result()
    assert (entry_of(person).state, get_log(entry)) == ("running", [])
    entry_of(person, state="done", lease_token=None)


def test_worker_does_not_send_a_message_that_is_just_being_given_up(person):
    from django.db import transaction

    from domain.commands.ports import OutboxRef
    from domain.postgres import outbox
    from workers import queue

    entry = entry_of(person, **waiting(state="queued"))
    sent = len(person.messages("email"))
    with transaction.atomic():
        assert outbox.give_up([entry.id]) == [entry.id]
        assert queue.enqueue([OutboxRef(entry.id, entry.kind)])
        wait_until(is_waiting_for_a_lock)  # the worker, which claims it
    wait_until(lambda: not is_waiting_for_a_lock())
    entry = entry_of(person)
    assert (entry.state, entry.reason_code, entry.attempts) == ("failed", "given_up", 1)
    assert len(person.messages("email")) == sent


def is_waiting_for_a_lock() -> bool:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


# --- who may -------------------------------------------------------------------------------------


def test_actions_require_the_permission_to_change(stack, person):
    entry = entry_of(person, **waiting())
    with log_in(stack, ["view_outboxentry", "view_person"]) as viewer:
        assert entry.id in list_ids(viewer)
        assert "give_up" not in viewer.get(OUTBOX).text
        for action in ("give_up", "retry_now"):
            run_action(viewer, action, person, entry.id)
        assert entry_of(person).state == "pending"
    with log_in(stack, ["view_person"]) as other:
        assert other.get(OUTBOX).status_code == 403
        page = other.get(PEOPLE)
        data = {"search": person.id, "csrfmiddlewaretoken": TableParser(page.text).csrf}
        response = other.post(OUTBOX, data=data, headers={"Origin": form_origin(page)})
        assert response.status_code == 403
    with log_in(stack, ["view_person", "view_outboxentry", "change_outboxentry"]) as changer:
        run_action(changer, "give_up", person, entry.id)
    assert entry_of(person).state == "failed"
