"""The reconciliation finds each kind of error in a hand-written ledger, and none in a right one."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.faults.checks import (
    DUPLICATE,
    ENDED,
    FALSE_401,
    LOST,
    OUTSIDE,
    STALE,
    Outcome,
    Window,
    check,
    count_duplicates,
    longest_gap,
    time_to_heal,
)
from loadtests.faults.ledger import (
    CHANGE,
    CONFIRM,
    DELETE,
    READ,
    SIGN_IN,
    SIGN_OUT,
    SIGN_UP,
    Entry,
    PersonRecord,
)
from loadtests.faults.providers import CONFIRMATION, Received

PROFILE = {"name": "Ada", "email": "ada@example.com", "phone": "+34600000000"}
SETS = {**PROFILE, "email_verified": False}
CHANGED = {**SETS, "name": "Grace"}
ALL = frozenset({0})


def entry(kind: str, sent: float, answered: float, status: int, **fields: Any) -> Entry:
    return Entry(0, kind, sent, answered=answered, status=status, **fields)


def read(sent: float, body: dict[str, Any] | None = None, status: int = 200, session=0) -> Entry:
    return entry(READ, sent, sent + 0.1, status, body=body, session=session)


SIGNED_UP = entry(SIGN_UP, 1, 2, 201, sets=SETS)
RENAMED = entry(CHANGE, 10, 11, 200, sets={"name": "Grace"})
SIGNED_OUT = entry(SIGN_OUT, 20, 21, 204, ends=ALL)
FAULT = Window("fault", 30, {READ: {503}}, repaired=33, end=35, repairing=32, broken=31)


@pytest.fixture
def person() -> PersonRecord:
    return PersonRecord(0, PROFILE, "id-0", ["token"])


def outcome(row: dict[str, Any] | None = SETS, **fields: Any) -> Outcome:
    """What is there when all is right, or with other `fields`."""
    messages: dict[str, list[Received]] = {
        PROFILE["email"]: [Received(3, PROFILE["email"], CONFIRMATION, "111111")],
        PROFILE["phone"]: [Received(3, PROFILE["phone"], CONFIRMATION, "222222")],
    }
    rows = {} if row is None else {"id-0": row}
    right = Outcome(rows, {PROFILE["email"]: 1}, set(), messages)
    return replace(right, **fields)


def kinds(person: PersonRecord, *entries: Entry, windows=(), end: Outcome | None = None):
    found = check([SIGNED_UP, *entries], [person], windows, end or outcome())
    return [violation.kind for violation in found]


def test_a_right_ledger_has_no_violation(person):
    entries = [
        read(3, SETS),
        RENAMED,
        read(12, CHANGED),
        read(19.5, CHANGED),
        SIGNED_OUT,
        read(22, status=401),
        read(31, status=503),
    ]
    assert kinds(person, *entries, windows=[FAULT], end=outcome(CHANGED)) == []


@pytest.mark.parametrize(
    ("body", "sent", "found"),
    [
        (SETS, 12.0, [STALE]),  # older than the answered change
        (SETS, 10.5, []),  # while the change was under way
        (CHANGED, 10.5, []),
        (CHANGED, 3.0, [STALE]),  # before that was written
        ({**CHANGED, "name": "Eve"}, 12.0, [STALE]),  # which was never written
        (None, 3.0, [STALE]),
    ],
)
def test_a_read_returns_the_last_answered_write_or_one_under_way(person, body, sent, found):
    assert kinds(person, RENAMED, read(sent, body), end=outcome(CHANGED)) == found


def test_a_write_without_an_answer_may_have_happened_or_not(person):
    for status in (0, 503):
        lost = replace(RENAMED, status=status)
        allowed = Window("fault", 0, {CHANGE: {0, 503}})
        entries = (lost, read(12, SETS), read(13, CHANGED))
        assert kinds(person, *entries, windows=[allowed]) == []


def test_an_unanswered_write_takes_effect_within_30_seconds(person):
    lost = replace(RENAMED, status=503)
    later = entry(CHANGE, 45, 46, 200, sets={"name": "Ida"})
    allowed = Window("fault", 0, {CHANGE: {503}})
    end = outcome({**SETS, "name": "Ida"})
    entries = (lost, later, read(50, CHANGED))
    assert kinds(person, *entries, windows=[allowed], end=end) == [STALE]


def test_after_an_older_snapshot_a_read_may_be_old_for_a_while_but_never_of_an_ended_session(
    person,
):
    window = replace(FAULT, stale_until=40)
    assert kinds(person, RENAMED, read(39, SETS), windows=[window], end=outcome(CHANGED)) == []
    assert kinds(person, RENAMED, read(41, SETS), windows=[window], end=outcome(CHANGED)) == [STALE]
    assert kinds(person, SIGNED_OUT, read(39, SETS), windows=[window]) == [ENDED]


def test_an_ended_session_is_not_read(person):
    assert kinds(person, SIGNED_OUT, read(22, SETS)) == [ENDED]
    assert kinds(person, SIGNED_OUT, read(20.5, SETS)) == [], "while its end was under way"
    unanswered = replace(SIGNED_OUT, status=503)
    allowed = Window("fault", 0, {SIGN_OUT: {503}})
    assert kinds(person, unanswered, read(22, SETS), windows=[allowed]) == []
    repeated = replace(SIGNED_OUT, status=401, attempt=1)
    assert kinds(person, repeated, read(22, SETS)) == [ENDED]


def test_a_live_session_gets_no_401(person):
    assert kinds(person, read(3, status=401)) == [FALSE_401]
    assert kinds(person, SIGNED_OUT, read(19.5, status=401)) == [FALSE_401]
    assert kinds(person, SIGNED_OUT, read(20.5, status=401)) == []
    signed_in = entry(SIGN_IN, 10, 11, 201, may_end=ALL)
    assert kinds(person, signed_in, read(12, status=401)) == []
    assert kinds(person, signed_in, read(12, status=401, session=1)) == [FALSE_401]


def test_statuses_are_those_of_the_fault_that_was_active(person):
    for status in (0, 500, 502, 503, 429):
        assert kinds(person, read(5, status=status), windows=[FAULT]) == [OUTSIDE]
    assert kinds(person, read(34, status=503), windows=[FAULT]) == []
    assert kinds(person, read(36, status=503), windows=[FAULT]) == [OUTSIDE]
    assert kinds(person, read(34, status=500), windows=[FAULT]) == [OUTSIDE]
    failed = entry(CHANGE, 34, 34.5, 503, sets={})
    assert kinds(person, failed, windows=[FAULT]) == [OUTSIDE], "the fault is not about writes"


def test_a_session_end_is_not_answered_while_redis_cannot_have_it(person):
    denying = replace(FAULT, denies={SIGN_OUT: {204, 401}})
    inside = replace(SIGNED_OUT, sent=31.2, answered=31.8)
    assert kinds(person, inside, windows=[denying]) == [OUTSIDE]
    later = replace(SIGNED_OUT, sent=31.2, answered=33)
    assert kinds(person, later, windows=[denying]) == []


def test_a_401_of_the_first_sign_out_is_outside(person):
    assert kinds(person, replace(SIGNED_OUT, status=401)) == [OUTSIDE]


def test_lost_people_changes_and_messages_are_found(person):
    confirmed = entry(CONFIRM, 10, 11, 200, sets={"email_verified": True})
    assert kinds(person, end=outcome(None)) == [LOST]
    assert kinds(person, confirmed, end=outcome(SETS)) == [LOST]
    assert kinds(person, RENAMED, end=outcome(SETS)) == [LOST]
    assert kinds(person, end=outcome(counts={PROFILE["email"]: 2})) == [LOST]
    assert kinds(person, end=outcome(differences="missing 1")) == [LOST]
    assert kinds(person, end=outcome(open_entries=1)) == [LOST]
    messages = outcome().messages
    one = {PROFILE["email"]: messages[PROFILE["email"]]}
    assert kinds(person, end=outcome(messages=one)) == [LOST]


def test_a_deleted_person_is_gone(person):
    person.is_deleted = True
    deleted = entry(DELETE, 20, 21, 204, ends=ALL)
    gone = outcome(None, erased={"id-0"}, messages={})
    assert kinds(person, deleted, read(22, status=401), end=gone) == []
    assert kinds(person, deleted, read(22, SETS), end=gone) == [ENDED]
    assert kinds(person, deleted, end=outcome(SETS, erased={"id-0"})) == [LOST]
    assert kinds(person, deleted, end=outcome(None)) == [LOST], "without a tombstone"


def test_a_message_that_arrives_twice_has_the_same_code(person):
    first = outcome().messages[PROFILE["email"]][0]
    again = {**outcome().messages, PROFILE["email"]: [first, first]}
    assert kinds(person, end=outcome(messages=again)) == []
    assert count_duplicates([person], outcome(messages=again)) == 1
    other = {**outcome().messages, PROFILE["email"]: [first, first._replace(code="333333")]}
    assert kinds(person, end=outcome(messages=other)) == [DUPLICATE]


def test_gaps_and_times_to_heal_are_measured():
    entries = [read(1), read(2), read(5, status=503), read(7), read(99)]
    assert longest_gap(entries, 50) == pytest.approx(5)
    entries = [read(32.5, status=503), read(33.5, status=503), read(34.5)]
    assert time_to_heal(entries, FAULT, [READ]) == pytest.approx(0.6)
