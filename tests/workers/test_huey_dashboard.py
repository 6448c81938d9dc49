"""Huey's dashboard in the admin: shows tasks, and no personal data."""

import html
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from tests.support.admin_client import LOGIN, TableParser, admin_session, form_origin
from tests.support.chromium import CHROMEDRIVER, CHROMIUM, chromium, get_console_errors
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.csp import find_blocked

DASHBOARD = "/admin/hueystats/hueydashboard/"
PEOPLE = 4
TASKS = 3 * PEOPLE  # the profile and two messages of each
TASK_NAMES = (
    "purge_expired",
    "refresh_profile",
    "send_address_change_notice",
    "send_confirmation",
    "send_other_channel_notice",
    "send_sign_in_code",
)

# Creates the tables of huey.contrib.stats, in a process, because it needs a whole Huey.
DECLARED = """
import sys
from huey import MemoryHuey
from huey.contrib.stats import HueyStats
from playhouse.db_url import connect
HueyStats(MemoryHuey(), connect(sys.argv[1].replace("postgresql:", "psycopg3:")))
"""
COLUMNS = """
SELECT table_name, ordinal_position, column_name, data_type, character_maximum_length, is_nullable,
       column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'huey%'
ORDER BY 1, 2
"""
INDEXES = """
SELECT tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename LIKE 'huey%' ORDER BY 1, 2
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'huey%' ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def stack(recorded_stack: Stack) -> Stack:
    """The stack with a dashboard."""
    return recorded_stack


@pytest.fixture(scope="module")
def people(stack: Stack) -> Iterator[list[SignedUpPerson]]:
    """People who have signed up and received their messages."""
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        people = [ApiClient(client).sign_up() for _ in range(PEOPLE)]
        for person in people:
            assert person.message("email")
            assert person.message("phone")
        yield people


@pytest.fixture
def staff(stack: Stack) -> Iterator[httpx.Client]:
    """A browser that has logged in with the form."""
    with admin_session(stack, DASHBOARD) as browser:
        yield browser


@pytest.fixture
def database(stack: Stack) -> Iterator[psycopg.Connection]:
    """The stack's database."""
    with psycopg.connect(stack.environment()["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def parse_tasks(page: str) -> dict[str, tuple[int, int, int]]:
    """Parses the page: runs, successes and errors by task."""
    rows = (row for row in TableParser(page).rows if len(row) == 6)
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in rows}


def parse_tiles(page: str) -> dict[str, str]:
    """Parses the tiles at the top: number by label."""
    return {row[1]: row[0] for row in TableParser(page).rows if len(row) == 2}


def test_dashboard_names_what_was_done_and_counts_it(
    people: list[SignedUpPerson], staff: httpx.Client
):
    def is_settled() -> str:
        page = staff.get(DASHBOARD)
        assert page.status_code == 200
        tasks, tiles = parse_tasks(page.text), parse_tiles(page.text)
        is_done = tasks["refresh_profile"][1] >= PEOPLE
        is_done = is_done and tasks["send_confirmation"][1] >= 2 * PEOPLE
        return page.text if is_done and tiles["Pending"] == tiles["Running"] == "0" else ""

    page = wait_until(is_settled)
    tasks, tiles = parse_tasks(page), parse_tiles(page)
    assert set(TASK_NAMES) == tasks.keys()
    assert int(tiles["Completed 24h"]) == sum(completed for _, completed, _ in tasks.values())
    assert int(tiles["Errors 24h"]) == sum(errors for *_, errors in tasks.values())
    assert tasks["refresh_profile"][2] == 0
    assert "not running" not in page
    events = [row for row in TableParser(page).rows if len(row) == 5]
    assert {"refresh_profile", "send_confirmation"} <= {row[1] for row in events}
    assert {"executing", "complete"} <= {row[2] for row in events}


def test_failed_attempt_is_shown_with_its_code_and_its_entry_as_waiting(
    stack: Stack, staff: httpx.Client
):
    def is_shown() -> str:
        page = html.unescape(staff.get(DASHBOARD).text)
        outbox = staff.get("/admin/rollcall/outboxentry/?state__exact=pending").text
        is_waiting = "mailbox_write_failed (" in outbox  # the reason, with a count
        return page if is_waiting and "TemporaryFailure('mailbox_write_failed')" in page else ""

    mailbox = stack.data_dir / "mailbox.jsonl"
    aside = mailbox.rename(stack.data_dir / "aside")
    mailbox.mkdir()  # no message can be written
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        try:
            person = ApiClient(client).sign_up()
            page = wait_until(is_shown)
        finally:
            mailbox.rmdir()
            aside.rename(mailbox)
        assert person.message("email"), "repeated until it is sent"
    assert parse_tasks(page)["send_confirmation"][2] >= 1
    assert int(parse_tiles(page)["Errors 24h"]) >= 1


def test_what_staff_do_on_the_dashboard_is_logged(stack: Stack, staff: httpx.Client):
    page = staff.get(DASHBOARD)
    for operation in ("revoke_task", "restore_task"):
        data = {"op": operation, "task": "workers.tasks.purge_expired"}
        data["csrfmiddlewaretoken"] = TableParser(page.text).csrf
        response = staff.post(
            f"{DASHBOARD}action/", data=data, headers={"Origin": form_origin(page)}
        )
        assert response.status_code == 302
        assert ("revoked" in staff.get(DASHBOARD).text) == (operation == "revoke_task")
        assert operation in staff.get("/admin/admin/logentry/").text


def test_policy_of_the_dashboard_blocks_nothing_of_its_own(
    people: list[SignedUpPerson], staff: httpx.Client
):
    for path in (DASHBOARD, f"{DASHBOARD}fragment/", f"{DASHBOARD}events/"):
        page = staff.get(path)
        assert page.status_code == 200
        assert find_blocked(page) == [], path


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs Chromium and its chromedriver")
def test_dashboard_refreshes_itself_in_a_browser(
    people: list[SignedUpPerson], stack: Stack, staff: httpx.Client, tmp_path: Path
):
    with chromium(tmp_path) as browser:
        browser.get(f"{stack.url}{LOGIN}")
        browser.add_cookie({"name": "sessionid", "value": staff.cookies["sessionid"]})
        browser.get(f"{stack.url}{DASHBOARD}")
        script = "return document.querySelectorAll('#hs-content .hs-chart svg').length"
        assert browser.execute_script(script) == 1
        loads = "return performance.getEntriesByName(new URL('fragment/', location).href).length"
        assert wait_until(lambda: browser.execute_script(loads))
        assert get_console_errors(browser) == []


def test_dashboard_requires_staff(people: list[SignedUpPerson], stack: Stack):
    for path in (DASHBOARD, f"{DASHBOARD}fragment/", f"{DASHBOARD}events/"):
        response = httpx.get(stack.url + path)
        assert response.status_code == 302
        assert response.headers["location"].startswith(LOGIN)


def test_dashboard_contains_no_address_code_or_token(
    people: list[SignedUpPerson], staff: httpx.Client, database: psycopg.Connection
):
    def is_settled() -> bool:
        query = "SELECT count(*) FROM huey_event WHERE signal = 'complete'"
        row = database.execute(query).fetchone()
        return row is not None and row[0] >= TASKS

    wait_until(is_settled)
    pages = [staff.get(path).text for path in (DASHBOARD, f"{DASHBOARD}events/")]
    stored = [
        str(row)
        for table in ("huey_event", "huey_inflight")
        for row in database.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
    ]
    assert len(stored) >= 2 * TASKS, "there is something to look at"
    for secret in get_secrets(people):
        # Not as a part of a longer number: ids and times have six digits too.
        pattern = re.compile(rf"(?<![0-9A-Za-z.]){re.escape(secret)}(?![0-9A-Za-z.])")
        assert [text for text in [*pages, *stored] if pattern.search(text)] == []


def get_secrets(people: list[SignedUpPerson]) -> list[str]:
    """Returns the personal data and secrets of these people."""
    secrets = []
    for person in people:
        email, sms = person.message("email"), person.message("phone")
        secrets += [person.body["email"], person.body["phone"], person.token]
        secrets += [email["code"], sms["code"], email["link"].partition("#")[2]]
    return secrets


def test_migration_creates_the_tables_that_huey_stats_declares(
    stack: Stack, database: psycopg.Connection, tmp_path: Path
):
    database.execute("CREATE DATABASE declared")
    url = stack.environment()["DATABASE_URL"].rpartition("/")[0] + "/declared"
    argv = [sys.executable, "-W", "error", "-c", DECLARED, url]
    subprocess.run(argv, check=True, cwd=tmp_path, timeout=60)
    with psycopg.connect(url) as declared:
        for query in (COLUMNS, INDEXES, CONSTRAINTS):
            expected = declared.execute(query).fetchall()
            assert expected, "there is something to compare"
            assert database.execute(query).fetchall() == expected


def test_events_are_recorded_after_all_connections_were_lost(
    stack: Stack, database: psycopg.Connection
):
    def is_recorded(since: float) -> bool:
        httpx.post(f"{stack.url}/api/v1/signup/", json=sign_up_payload(), timeout=20)
        query = "SELECT count(DISTINCT signal) FROM huey_event WHERE ts > %s AND signal = ANY(%s)"
        return database.execute(query, [since, ["executing", "complete"]]).fetchone() == (2,)

    assert wait_until(partial(is_recorded, time.time()))
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    assert wait_until(partial(is_recorded, time.time()))
