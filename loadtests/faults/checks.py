"""Finds what contradicts the answers that clients were given.

Pure functions of the ledger, of the faults' windows and of what is there at the end: a field of a
profile is a register, and a read must return what the last answered write before it has set, or
what a write has set that was under way during the read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from loadtests.faults.ledger import (
    CHANGE,
    CONFIRM,
    DELETE,
    ENDS,
    READ,
    REQUEST_CODE,
    SIGN_IN,
    SIGN_UP,
    SUCCESS,
    UNANSWERED,
    Entry,
    PersonRecord,
)
from loadtests.faults.providers import CONFIRMATION, Received

LOST, STALE, ENDED, FALSE_401 = "lost", "older than a write", "ended session read", "false 401"
OUTSIDE, DUPLICATE, UNHEALED = "outside section 5", "other code", "not healed"
WRONG_READS = (STALE, ENDED, FALSE_401)
_LATE_EFFECT = 30.0  # seconds within which a write without success may still take effect
_IDEMPOTENCY_IN_PROGRESS, _CODE_USED = 409, 400


class Violation(NamedTuple):
    """Something that is wrong: its kind, the number of the person (-1: of none), and details."""

    kind: str
    person: int
    text: str


@dataclass
class Window:
    """A fault: from when to when which statuses are right, beside those of a healthy service.

    `repaired` is when the cause was removed, `end` when all was as before. From `broken` to
    `repairing` the statuses of `denies` are wrong. A read that is sent between `broken` and
    `stale_until` may be older than a write.
    """

    name: str
    start: float
    allows: Mapping[str, Collection[int]]
    denies: Mapping[str, Collection[int]] = field(default_factory=dict)
    broken: float = UNANSWERED
    repairing: float = UNANSWERED
    repaired: float = UNANSWERED
    end: float = UNANSWERED
    stale_until: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the service has healed."""
        return self.end != UNANSWERED


@dataclass
class Outcome:
    """What is there at the end. `rows`: people by id in Postgres, `counts`: how many have signed up
    with an e-mail address; `erased`: ids of tombstones; `messages` by address.
    """

    rows: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, int]
    erased: Collection[str]
    messages: Mapping[str, Sequence[Received]]
    open_entries: int = 0
    differences: str = ""  # that `profiles verify` reports


def check(
    entries: Iterable[Entry],
    people: Iterable[PersonRecord],
    windows: Sequence[Window],
    outcome: Outcome,
) -> list[Violation]:
    """Returns everything that is wrong."""
    by_person: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_person[entry.person].append(entry)
    found: list[Violation] = []
    if outcome.differences:
        found.append(Violation(LOST, -1, f"profiles verify: {outcome.differences}"))
    if outcome.open_entries:
        found.append(Violation(LOST, -1, f"{outcome.open_entries} outbox entries are unfinished"))
    for person in people:
        own = by_person[person.number]
        found += _check_statuses(own, windows)
        found += _check_reads(own, windows)
        if person.id:
            found += _check_row(person, own, outcome)
            found += _check_messages(person, outcome)
    return found


# --- statuses --------------------------------------------------------------------------------


def _check_statuses(entries: Iterable[Entry], windows: Sequence[Window]) -> Iterator[Violation]:
    for entry in entries:
        active = [w for w in windows if w.start <= entry.answered and entry.sent <= w.end]
        if not _is_normal(entry) and not any(_allows(w, entry) for w in active):
            faults = ", ".join(window.name for window in active) or "no fault"
            yield Violation(OUTSIDE, entry.person, f"{entry.status} to {entry.kind} in: {faults}")
        for window in active:
            inside = window.broken <= entry.sent and entry.answered <= window.repairing
            if inside and entry.status in window.denies.get(entry.kind, ()):
                yield Violation(
                    OUTSIDE, entry.person, f"{entry.status} to {entry.kind} during: {window.name}"
                )


def _allows(window: Window, entry: Entry) -> bool:
    return entry.status in window.allows.get(entry.kind, ())


def _is_normal(entry: Entry) -> bool:
    """Whether a healthy service may respond so. `_check_reads` judges the 401 of a read."""
    if entry.is_done or not entry.is_answered:
        return entry.is_answered
    if entry.kind == READ:
        return entry.status == 401
    if entry.kind == SIGN_UP:
        return bool(entry.attempt) and entry.status == _IDEMPOTENCY_IN_PROGRESS
    return bool(entry.kind == SIGN_IN and entry.attempt) and entry.status == _CODE_USED


# --- reads -----------------------------------------------------------------------------------


def _check_reads(entries: Sequence[Entry], windows: Sequence[Window]) -> Iterator[Violation]:
    writes = [entry for entry in entries if entry.kind != READ]
    for read in entries:
        if read.kind != READ:
            continue
        if read.status == 401 and not _may_have_ended(read, writes):
            yield Violation(FALSE_401, read.person, str(read))
        if read.status == SUCCESS[READ]:
            yield from _check_content(read, writes, windows)


def _may_have_ended(read: Entry, writes: Iterable[Entry]) -> bool:
    return any(
        read.session in (write.ends | write.may_end) and write.sent < read.answered
        for write in writes
    )


def _check_content(
    read: Entry, writes: Sequence[Entry], windows: Sequence[Window]
) -> Iterator[Violation]:
    for write in writes:
        if read.session in write.ends and write.effective_from < read.sent:
            yield Violation(ENDED, read.person, f"{read}\n  after {write}")
            return
    if any(window.broken <= read.sent <= window.stale_until for window in windows):
        return
    for name, value in dict(read.body or {"body": None}).items():
        if value not in _possible_values(name, read, writes):
            yield Violation(STALE, read.person, f"{name} is {value!r} in {read}")


def _possible_values(name: str, read: Entry, writes: Iterable[Entry]) -> list[Any]:
    """Returns what a field may have: what was set by the writes that no other one has replaced for
    certain before the read was sent.
    """
    setting = [write for write in writes if name in write.sets and write.sent < read.answered]
    answered = [write for write in setting if write.effective_from < read.sent]
    latest = max((write.sent for write in answered), default=-1.0)
    return [write.sets[name] for write in setting if _latest_effect(write) >= latest]


def _latest_effect(write: Entry) -> float:
    """Returns until when a write may have taken effect."""
    return write.answered if write.is_done else write.sent + _LATE_EFFECT


# --- the end ---------------------------------------------------------------------------------


def _check_row(
    person: PersonRecord, entries: Sequence[Entry], outcome: Outcome
) -> Iterator[Violation]:
    """Compares Postgres with the answers, and sees that a repeated sign-up made one person."""
    deletions = [entry for entry in entries if entry.kind == DELETE]
    row = outcome.rows.get(person.id)
    if any(entry.is_done for entry in deletions):
        if row is not None or person.id not in outcome.erased:
            yield Violation(LOST, person.number, "deleted by a 204, and still in Postgres")
        return
    if row is None:
        if not deletions:
            yield Violation(LOST, person.number, f"{person.id} had a 201, and is not in Postgres")
        return
    if outcome.counts.get(str(person.profile["email"]), 0) != 1:
        yield Violation(LOST, person.number, "one sign-up, repeated with its key, made two people")
    end = Entry(person.number, READ, UNANSWERED, answered=UNANSWERED)
    writes = [entry for entry in entries if entry.kind != READ]
    for name, value in row.items():
        if value not in _possible_values(name, end, writes):
            yield Violation(LOST, person.number, f"Postgres has {name} {value!r}")


def _check_messages(person: PersonRecord, outcome: Outcome) -> Iterator[Violation]:
    for channel in ("email", "phone"):
        codes = _confirmation_codes(person, channel, outcome)
        if not codes and not person.is_deleted:
            yield Violation(LOST, person.number, f"no message to {person.profile[channel]}")
        if len(set(codes)) > 1:
            yield Violation(DUPLICATE, person.number, f"{channel}: {len(set(codes))} codes")


def _confirmation_codes(person: PersonRecord, channel: str, outcome: Outcome) -> list[str]:
    messages = outcome.messages.get(str(person.profile[channel]), ())
    return [each.code for each in messages if each.purpose == CONFIRMATION]


def count_duplicates(people: Iterable[PersonRecord], outcome: Outcome) -> int:
    """Returns how many messages have arrived once more."""
    counts = (
        len(_confirmation_codes(person, channel, outcome))
        for person in people
        for channel in ("email", "phone")
    )
    return sum(max(0, count - 1) for count in counts)


# --- figures ---------------------------------------------------------------------------------


def longest_gap(entries: Iterable[Entry], end: float) -> float:
    """Returns the longest time in seconds until `end` without a successful read."""
    reads = (entry for entry in entries if entry.kind == READ and entry.status in (200, 401))
    times = sorted(entry.answered for entry in reads if entry.answered < end)
    return max((after - before for before, after in pairwise(times)), default=0.0)


def time_to_heal(entries: Sequence[Entry], window: Window, kinds: Collection[str]) -> float:
    """Returns the seconds from the repair to the last answer that a healthy service does not give.

    Of requests that were sent after the repair: others may wait for a part that is gone.
    """
    late = (
        entry.answered - window.repaired
        for entry in entries
        if entry.kind in kinds
        and window.repaired <= entry.sent <= window.end
        and entry.is_answered
        and not _is_normal(entry)
    )
    return max(late, default=0.0)


WRITES = (SIGN_UP, CHANGE, CONFIRM, REQUEST_CODE, SIGN_IN)
ALL = (READ, *WRITES, *ENDS)
