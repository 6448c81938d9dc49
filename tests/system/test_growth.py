"""With months of data no query reads a whole table, and the purge and migrations keep up.

LONG=1: 5,000,000 people and 22,500,000 outbox entries, which take ten minutes to generate.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from local.postgres import Postgres
from local.stack import Stack
from tests.conftest import LONG
from tests.support import growth, query_plans, webhook_signatures
from tests.support.admin_client import TableParser, admin_session, form_origin
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.query_plans import Plan
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import copy_template, migrated_stack

PEOPLE = 5_000_000 if LONG else 13_000
PAGE, EVENT_PAGE = (150, 50) if LONG else (50, 20)  # late ones, of a hundred rows
MAX_ROWS_READ = 12_000  # by one scan: lists of the admin end at 10,000
# The rest of `huey_event` is bounded by Huey, and statistics of text messages by their quota.
GROWING = {
    "django_admin_log",
    "rollcall_confirmation",
    "rollcall_event",
    "rollcall_idempotencykey",
    "rollcall_knownnetwork",
    "rollcall_outboxentry",
    "rollcall_person",
    "rollcall_ratelimitwindow",
    "rollcall_session",
    "rollcall_signinchallenge",
    "rollcall_smsprefixstats",
    "rollcall_tombstone",
}
SERVER_OPTIONS = query_plans.OPTIONS | {"max_wal_size": "8GB", "shared_buffers": "512MB"}
# One batch of each step of the purge, and what relay and operators do with all profiles, a page.
BACKGROUND_WORK = """
import django
django.setup()
from datetime import UTC, datetime, timedelta
from domain.postgres import event_leases, event_queries, outbox_queries, person_queries
from domain.projection.people_pages import MAX_ID
from workers import purge
purge._STEP_BUDGET = 0
purge.purge_expired()
outbox_queries.changed_since(datetime.now(UTC) - timedelta(minutes=1), 100_000)
page = person_queries.list_people_after(person_queries.NIL_UUID, MAX_ID, 2000)
person_queries.sum_versions(page[0].id, page[-1].id)
person_queries.get_versions(person.id for person in page)
pending = event_queries.list_events("pending", None, 16)
leased = event_leases.lease_next([event.person_id for event in pending])
event_leases.record([event_leases.EventOutcome(event, "timeout", 3600) for event in leased])
event_leases.lease_due(16)
next(event_queries.replay_finished(datetime.now(UTC) - timedelta(days=6), ("delivered", "failed")))
event_queries.replay_person(leased[0].person_id)
list(event_queries.list_events(None, leased[0].person_id, 50))
list(event_queries.list_events(None, None, 50))
"""
PURGE = """
import time, django
django.setup()
from domain.postgres import purge as batches
from workers import purge
purge._STEP_BUDGET = 45
def run(name, step, original=purge._run):
    started_at = time.monotonic()
    count = original(name, step)
    print(name, count, time.monotonic() - started_at)
    return count
purge._run = run
purge.purge_expired()
"""

LAST_MIGRATION_BEFORE = "0006"  # the ones that were written for data of this size
ACQUIRED = re.compile(r"acquired \w+ on relation .* after ([0-9.]+) ms")
# So that there is something to purge, whatever the worker has done; and after the migration, which
# gives each rate limit 25 hours more.
SIX_DAYS_PASS = """
    UPDATE rollcall_ratelimitwindow SET expires_at = hits[1] + '1 day'
    WHERE hits[1] < now() - interval '27 days';
    UPDATE rollcall_person SET created_at = created_at - interval '6 days'
    WHERE email_verified_at IS NULL AND created_at > now() - interval '7 days';
    UPDATE rollcall_outboxentry SET finished_at = finished_at - interval '6 days'
    WHERE finished_at > now() - interval '7 days';
    UPDATE rollcall_event SET finished_at = finished_at - interval '6 days'
    WHERE finished_at > now() - interval '7 days'
"""
EXPIRED = [
    "person WHERE created_at < now() - interval '7 days' AND email_verified_at IS NULL",
    "outboxentry WHERE finished_at < now() - interval '7 days'",
    "event WHERE finished_at < now() - interval '7 days'",
    "session WHERE expires_at < now() - interval '1 hour'",
    "confirmation WHERE superseded_at < now() - interval '7 days'",
    "signinchallenge WHERE created_at < now() - interval '1 day 1 hour'",
    "knownnetwork WHERE last_used_at < now() - interval '90 days'",
    "idempotencykey WHERE created_at < now() - interval '1 day 1 hour'",
    "ratelimitwindow WHERE expires_at < now() - interval '1 hour'",
    "smsprefixstats WHERE hour_start < now() - interval '30 days'",
]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with all data."""
    folder = tmp_path_factory.mktemp("grown")
    copy_template(folder)
    with Postgres(folder, options=SERVER_OPTIONS, durable=False) as server:
        growth.fill(server.url, PEOPLE)
        yield server


@pytest.fixture(scope="module")
def grown(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service on all data."""
    env = {"DATABASE_URL": postgres.url, "HUEY_DASHBOARD": "true", **webhook_signatures.ENV}
    with migrated_stack(tmp_path_factory.mktemp("stack"), env) as running:
        yield running


@pytest.fixture(scope="module")
def plans(grown: Stack, postgres: Postgres, load_settings: SettingsProcess) -> list[Plan]:
    """The plans of what people, staff, operators and the background do."""

    def run_all() -> None:
        with httpx.Client(base_url=grown.url, timeout=30) as client:
            person = use_api(ApiClient(client))
            assert client.get("/metrics").status_code == 200
        use_admin(grown, person)
        load_settings.run(grown, BACKGROUND_WORK, timeout=3600)

    def use_api_often() -> None:
        with httpx.Client(base_url=grown.url, timeout=30) as client:
            use_api(ApiClient(client))

    assert postgres.log is not None
    recorded = query_plans.record(postgres.url, postgres.log, run_all)
    # As after five executions of a prepared statement, if Postgres thinks that it is no worse.
    generic = {"plan_cache_mode": "force_generic_plan"}
    return recorded + query_plans.record(postgres.url, postgres.log, use_api_often, **generic)


def use_api(api: ApiClient) -> SignedUpPerson:
    """Uses every part of the API; returns a person who remains."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = sign_up_payload()
    for _ in range(2):
        assert api.post("/api/v1/signup/", body, **key).status_code == 201
    person, other = api.sign_up(), api.sign_up()
    token = person.message("email")["link"].partition("#")[2]
    assert api.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    assert person.confirm("phone", "000000").status_code == 400
    assert person.confirm("phone").status_code == 200
    assert person.request("GET", "confirmations/").status_code == 200
    assert person.request("POST", "confirmations/email/resend/").status_code in (202, 429)
    second = person.sign_in("phone")
    for _ in range(2):  # the second repeats the first
        assert second.request("POST", "sessions/current/refresh/").status_code == 200
    assert second.patch({"email": sign_up_payload()["email"], "name": "Grace"}).status_code == 200
    sessions = second.request("GET", "sessions/").json()["sessions"]
    assert second.request("DELETE", f"sessions/{sessions[-1]['id']}/").status_code == 204
    assert api.sign_up().request("DELETE", "sessions/current/").status_code == 204
    assert other.request("DELETE", "profile/").status_code == 204
    api.request_challenge(email="unknown@growth.example")
    event = {"event": "delivered", "sg_message_id": "x.filter", "timestamp": int(time.time())}
    headers = webhook_signatures.sign_sendgrid([event])
    assert webhook_signatures.post_receipts(api.http, "sendgrid", [event], headers) == 204
    return person


def use_admin(stack: Stack, person: SignedUpPerson) -> None:
    """Opens every list of the admin, with its filters, and searches, and carries an action out."""
    models = "/admin/rollcall"
    states = ("open", "due", "pending", "queued", "running", "failed", "discarded", "done")
    paths = ["/admin/", "/admin/hueystats/hueydashboard/"]
    paths += [f"{models}/{name}/" for name in ("person", "tombstone", "outboxentry")]
    paths += [f"{models}/person/?p={PAGE}", f"{models}/tombstone/?p={PAGE}"]
    paths += [f"{models}/person/?q={person.id}", f"{models}/tombstone/?q={person.id}"]
    paths += [f"{models}/person/{person.id}/{page}/" for page in ("change", "history", "delete")]
    paths += [f"{models}/outboxentry/?state__exact={state}&o=-6" for state in states]
    paths += [f"{models}/outboxentry/?state__exact={state}&q={person.id}" for state in states]
    paths += [f"{models}/outboxentry/?kind=confirmation&reason_code=x&state__exact=done"]
    events = f"{models}/event/"
    paths += [events, f"{events}?p={EVENT_PAGE}", f"{events}?q={person.id}"]
    for state in ("pending", "failed", "delivered"):
        paths += [f"{events}?state__exact={state}", f"{events}?state__exact={state}&q={person.id}"]
    paths += ["/admin/admin/logentry/", f"/admin/admin/logentry/?q={person.id}"]
    with admin_session(stack) as staff:
        for path in paths:
            page = staff.get(path)
            assert page.status_code == 200, path
        form = staff.get(f"{models}/person/")
        fields = {"csrfmiddlewaretoken": TableParser(form.text).csrf}
        for search in (person.body["email"], person.body["phone"]):
            response = staff.post(
                f"{models}/person/", data=fields | {"search": search}, headers=origin(form)
            )
            assert response.status_code == 302
            assert person.id in response.headers["location"]
        for action in ("resend_confirmations", "revoke_sessions"):
            data = fields | {"action": action, "_selected_action": person.id}
            response = staff.post(f"{models}/person/", data=data, headers=origin(form))
            assert response.status_code == 302


def origin(form: httpx.Response) -> dict[str, str]:
    return {"Origin": form_origin(form)}


def test_statements_of_all_kinds_were_recorded(plans: list[Plan]):
    statements = {plan.statement for plan in plans}
    for part in (
        "WITH person AS ( INSERT INTO rollcall_person",
        "WITH matched AS MATERIALIZED",
        "SET state = 'queued', due_at",  # the relay
        "SELECT min(created_at) FROM rollcall_outboxentry",  # /metrics
        "AS blocked_until FROM due",  # the delivery of events
        "FROM unnest('{",
        "FROM rollcall_ratelimitwindow WHERE true AND expires_at",  # the purge
        "DELETE FROM rollcall_person WHERE id = ANY",
        "finished_at IS NOT NULL AND finished_at >=",  # the fence
        'ORDER BY "rollcall_person"."created_at" DESC',  # the admin
        "FOR KEY SHARE OF x",  # a foreign key
    ):
        assert any(part in statement for statement in statements), part
    assert len(statements) > 200


def test_no_statement_reads_a_table_that_grows_or_much_of_it(
    plans: list[Plan], record_property: Callable[[str, object], None]
):
    scans = [scan for plan in plans for scan in plan.scans if scan.table in GROWING]
    unbounded = {scan for scan in scans if scan.kind == "Seq Scan" or scan.rows > MAX_ROWS_READ}
    assert not unbounded, "\n".join(map(str, sorted(unbounded)))
    assert {scan.table for scan in scans} == GROWING
    slowest = max(plans, key=lambda plan: plan.duration)
    most = max(scans, key=lambda scan: scan.rows)
    record_property(
        "summary",
        f"Growth: {len(plans)} statements on {PEOPLE:,} people; the slowest took"
        f" {slowest.duration:.0f} ms: {slowest.statement[:80]}…; most rows read: {most.rows}",
    )


def test_migrations_keep_no_write_waiting_for_a_second(
    grown: Stack,
    postgres: Postgres,
    load_settings: SettingsProcess,
    record_property: Callable[[str, object], None],
):
    """Although a transaction has the lock of a table for longer, which a migration needs; and after
    an attempt that was interrupted while it built an index.
    """
    assert postgres.log is not None
    load_settings.manage(grown, ("migrate", "rollcall", LAST_MIGRATION_BEFORE))
    leave_invalid_index(postgres.url, "session_expires_at_idx", "rollcall_session")
    start = postgres.log.stat().st_size
    with log_lock_waits(postgres.url), writers(postgres) as made:
        with psycopg.connect(postgres.url) as reader:
            reader.execute("SELECT FROM rollcall_ratelimitwindow LIMIT 1")
            migrate = ("migrate", "rollcall")
            migration = threading.Thread(target=load_settings.manage, args=[grown, migrate])
            migration.start()
            wait_until(lambda: "still waiting for AccessExclusiveLock" in read(postgres.log, start))
            count = len(made)
            wait_until(lambda: len(made) > count + 100)
            reader.rollback()
        started_at = time.monotonic()
        migration.join(1800)
        seconds = time.monotonic() - started_at
    waits = [float(ms) for ms in ACQUIRED.findall(read(postgres.log, start))]
    assert waits, "some writes waited for the migration"
    assert max(waits) < 1000
    assert count_invalid_indexes(postgres.url) == 0
    record_property(
        "summary",
        f"Growth: migrated in {seconds:.1f} s, during {len(made)} writes, of which the longest"
        f" waited {max(waits):.0f} ms for a lock",
    )


def leave_invalid_index(database_url: str, name: str, table: str) -> None:
    """Leaves what an interrupted CREATE INDEX CONCURRENTLY does."""
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ((1))".encode())


def count_invalid_indexes(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").rowcount


@contextmanager
def log_lock_waits(database_url: str) -> Iterator[None]:
    """Has Postgres log each wait for a lock that takes longer than a moment."""
    changes = {"log_lock_waits": "on", "deadlock_timeout": "30ms"}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in changes.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        yield
        for name in changes:
            connection.execute(f"ALTER SYSTEM RESET {name}".encode())
        connection.execute("SELECT pg_reload_conf()")


# Rows of a sign-up with the columns of the first release, which the service of today adds to.
SIGN_UP = """
    WITH person AS (
        INSERT INTO rollcall_person
            (id, name, surname, email, email_canonical, phone, hobbies, version)
        VALUES (%(id)s, 'Ada', 'Lovelace', 'a@example.com', 'a@example.com', '+34', '{}', 1)
    ), session AS (
        INSERT INTO rollcall_session (person_id, digest, expires_at)
        VALUES (%(id)s, sha256(uuid_send(%(id)s)), now() + interval '30 days')
    )
    INSERT INTO rollcall_outboxentry
        (kind, person_id, state, due_at, attempts, reason_code, provider_message_id)
    VALUES ('project_profile', %(id)s, 'queued', now() + interval '1 hour', 0, '', '')
"""
HIT = "INSERT INTO rollcall_ratelimitwindow (key, hits) VALUES (uuid_send(%(id)s), '{}')"


@contextmanager
def writers(postgres: Postgres) -> Iterator[list[uuid.UUID]]:
    """Signs people up, and counts hits of rate limits, all the time, as the release before the
    migrations does; yields the ids of what is done.
    """
    made: list[uuid.UUID] = []
    finished = threading.Event()

    def write(statement: str) -> None:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            while not finished.wait(0.005):
                id_ = uuid.uuid4()
                connection.execute(statement.encode(), {"id": id_})
                made.append(id_)

    with ThreadPoolExecutor(2) as threads:
        started = [threads.submit(write, statement) for statement in (SIGN_UP, HIT)]
        try:
            yield made
        finally:
            finished.set()
        for each in started:
            each.result(30)


def read(log: Path | None, start: int) -> str:
    assert log is not None
    with log.open() as file:
        file.seek(start)
        return file.read()


def test_purge_deletes_all_that_has_expired_faster_than_people_sign_up(
    grown: Stack,
    postgres: Postgres,
    load_settings: SettingsProcess,
    record_property: Callable[[str, object], None],
):
    """3,500 a minute are 58 people a second, all of whom may verify nothing, and 175 entries."""
    grown.services["worker"].stop()  # it purges every ten minutes
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        query = "SELECT count(*) FROM rollcall_person WHERE email_verified_at IS NOT NULL"
        verified = connection.execute(query).fetchone()
        connection.execute(SIX_DAYS_PASS)
        lines = [
            line.split()
            for line in load_settings.run(grown, PURGE, timeout=3600).splitlines()
            if line.count(" ") == 2
        ]
        rates = {name: int(count) / float(seconds) for name, count, seconds in lines}
        assert rates["people"] > 60
        assert rates["outbox_entries"] > 200
        assert connection.execute(query).fetchone() == verified
        for condition in EXPIRED if not LONG else []:  # that is months at once: some is left
            row = connection.execute(f"SELECT count(*) FROM rollcall_{condition}".encode())
            assert row.fetchone() == (0,), condition
        assert connection.execute("SELECT count(*) FROM rollcall_person").fetchone() != verified
    text = ", ".join(f"{rate:,.0f} {name}" for name, rate in rates.items() if rate)
    record_property("summary", f"Growth: purged a second: {text}")
