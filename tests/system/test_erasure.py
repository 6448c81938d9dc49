"""An erased person leaves no personal data in anything that the service keeps."""

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest
import redis
from psycopg import sql

from domain.model.address import Address, Channel
from local.stack import Stack
from tests.support import erasure, traces
from tests.support.admin_client import admin_session
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.erasure import (
    CLAIMANT,
    CLIENT,
    EMAIL,
    NEW_EMAIL,
    NEXT_EMAIL,
    NEXT_PHONE,
    OWNER,
    PHONE,
    REJECTED,
    REJECTED_EMAIL,
    Service,
)
from tests.support.settings_process import SettingsProcess

ROOT = Path(__file__).parents[2]
DASHBOARD = "/admin/hueystats/hueydashboard/"
PAGES = [
    *(f"/admin/{each}/" for each in ("admin/logentry", "rollcall/person", "rollcall/outboxentry")),
    *(f"/admin/{each}/" for each in ("rollcall/tombstone", "hueystats/hueydashboard")),
    f"{DASHBOARD}events/?q=process",
    "/metrics",
]
# What may name an erased person by their id.
KEEPS_ID = {"public.rollcall_tombstone", "public.rollcall_outboxentry", "public.django_admin_log"}
KEEPS_ID |= {"pg_catalog.pg_statistic", "public.rollcall_event"}
ALL_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
OWN_TABLES = f"{ALL_TABLES} AND tablename LIKE 'rollcall%'"
TIMES = """
    SELECT table_name, column_name, data_type = 'ARRAY' FROM information_schema.columns
    WHERE table_name LIKE 'rollcall%' AND udt_name IN ('timestamptz', '_timestamptz')
"""
SAMPLED_TEXTS = """
    SELECT s.attname FROM pg_stats AS s JOIN information_schema.columns AS c
        ON c.table_name = s.tablename AND c.column_name = s.attname
    WHERE s.tablename LIKE 'rollcall%' AND c.udt_name IN ('text', 'varchar', 'bytea', '_varchar')
        AND s.tablename <> 'rollcall_backendkey'  -- of backends, not of people
"""


class Erased(NamedTuple):
    """The service after the erasure of three people, and where their data were found: before, at
    once (with tasks in the queue), and once all work was done.
    """

    service: Service
    people: tuple[SignedUpPerson, ...]
    before: traces.Places
    at_once: traces.Places
    later: traces.Places


@pytest.fixture(scope="module")
def erased(
    tmp_path_factory: pytest.TempPathFactory, load_settings: SettingsProcess
) -> Iterator[Erased]:
    with erasure.run_service(tmp_path_factory.mktemp("erasure"), load_settings) as service:
        people = erasure.fill(service)
        mails = [each.body.decode() for each in service.providers["email"].requests]
        search = traces.Search(service.stack, make_needles(people, mails))
        before = search.run()
        erasure.erase_all(service, *people[:2])
        assert service.queue_size()
        at_once = search.run()
        for name in ("worker", "relay"):
            service.stack.services[name].start()
        wait_until(service.is_settled)
        yield Erased(service, people, before, at_once, search.run())


def make_needles(people: tuple[SignedUpPerson, ...], mails: list[str]) -> dict[str, set[bytes]]:
    """Returns what may not be found after people were erased."""
    needles = {name: {name.encode(), name.lower().encode()} for name in (OWNER, REJECTED, CLAIMANT)}
    needles |= {text: traces.spell(text) for text in (EMAIL, NEW_EMAIL, NEXT_EMAIL, CLIENT)}
    for phone in (PHONE, NEXT_PHONE):
        needles[phone] = traces.spell(phone) | traces.spell(phone[1:]) | {phone[3:].encode()}
    canonical = Address(Channel.EMAIL, REJECTED_EMAIL).canonical
    needles[REJECTED_EMAIL] = traces.spell(REJECTED_EMAIL, canonical)
    for person in people:
        digest = sha256(person.token.encode()).digest()
        needles[f"session of {person.id}"] = {person.token.encode(), digest, digest.hex().encode()}
    secrets = {each for mail in mails for each in re.findall(r"#([\w-]{43})", mail)}
    needles |= {person.id: traces.spell_id(UUID(person.id)) for person in people}
    return needles | {f"link {secret[:12]}": {secret.encode()} for secret in secrets}


def test_data_of_people_are_found_before_they_are_erased(erased: Erased):
    places = erased.before[REJECTED_EMAIL]
    assert places > {"public.rollcall_person", f"profiles: p:{UUID(erased.people[1].id).hex}"}
    never_stored = {name for name, places in erased.before.items() if not places}
    assert all(name.startswith("link ") for name in never_stored)


@pytest.mark.parametrize("moment", ["at_once", "later"])
def test_erased_people_leave_nothing_but_their_ids(erased: Erased, moment: str):
    """And their clients' addresses in counters of Redis, which expire."""
    found = dict(getattr(erased, moment))
    for person in erased.people:
        in_redis = {f"profiles: p:{UUID(person.id).hex}", "profiles: profile:backfill"}
        assert found.pop(person.id) <= KEEPS_ID | in_redis
    counters = found.pop(CLIENT)
    assert {name: places for name, places in found.items() if places} == {}
    with redis.Redis.from_url(erased.service.stack.environment()["REDIS_URL"]) as profiles:
        for place in counters:
            assert place.startswith("profiles: {ratelimit}:")
            assert profiles.ttl(place.removeprefix("profiles: ")) in (-2, *range(121))  # expired


def test_pages_of_staff_show_nothing_of_erased_people(erased: Erased):
    with admin_session(erased.service.stack) as staff:
        pages = {path: staff.get(path) for path in PAGES}
    assert {page.status_code for page in pages.values()} == {200}
    for needle in (OWNER, REJECTED, CLAIMANT, "quagmire", PHONE[1:], NEXT_PHONE[1:]):
        assert [path for path, page in pages.items() if needle in page.text] == []


def test_all_that_is_kept_of_erased_people_is_purged(erased: Erased):
    """But for tombstones, which no late write may replace, and the log of what staff did."""
    assert erased.service.count("rollcall_ratelimitwindow")
    assert erased.service.count("rollcall_signinchallenge")
    for table, column, is_array in erased.service.database.execute(TIMES).fetchall():
        change = "{c} = {c} - interval '1 year'"
        if is_array:
            change = "{c} = ARRAY(SELECT each - interval '1 year' FROM unnest({c}) AS each)"
        query = sql.SQL("UPDATE {t} SET " + change)
        names = {"t": sql.Identifier(table), "c": sql.Identifier(column)}
        erased.service.database.execute(query.format(**names))
    erased.service.erase()
    rows = {
        table: erased.service.count(table)
        for (table,) in erased.service.database.execute(OWN_TABLES)
    }
    assert {table for table, count in rows.items() if count} == {"rollcall_tombstone"}


def test_documentation_says_how_long_each_table_is_kept(stack: Stack):
    text = (ROOT / "docs/operations.md").read_text()
    section = text.partition("## What is kept, and for how long\n")[2].partition("\n## ")[0]
    with psycopg.connect(stack.environment()["DATABASE_URL"]) as database:
        tables = {table for (table,) in database.execute(ALL_TABLES)}
    assert {table for table in tables if f"`{table}`" not in section} == set()


def test_statistics_of_the_planner_hold_no_personal_data(stack: Stack, api: ApiClient):
    """They would keep samples of erased rows until so many others have changed."""
    api.sign_up()
    with psycopg.connect(stack.environment()["DATABASE_URL"], autocommit=True) as database:
        database.execute("ANALYZE")
        sampled = {column for (column,) in database.execute(SAMPLED_TEXTS)}
    assert "channel" in sampled
    words = {"channel", "kind", "state", "reason_code", "delivery_status"}
    assert sampled - words <= {"prefix", "key_id"}
