"""The ledger: every request of every client, with its answer and both times."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

READ, SIGN_UP, CHANGE, CONFIRM = "read", "sign-up", "change", "confirm"
REQUEST_CODE, SIGN_IN = "request code", "sign-in"
SIGN_OUT, DELETE = "sign-out", "delete"
ENDS = (SIGN_OUT, DELETE)  # what ends sessions
NO_ANSWER = 0  # the status of a request whose connection failed
UNANSWERED = float("inf")
# The status when all is well.
SUCCESS = {
    READ: 200,
    SIGN_UP: 201,
    CHANGE: 200,
    CONFIRM: 200,
    REQUEST_CODE: 202,
    SIGN_IN: 201,
    SIGN_OUT: 204,
    DELETE: 204,
}


@dataclass(slots=True, eq=False)
class Entry:
    """A request and its answer. Times are in seconds since the start of the run.

    `session` is the number of the person's session that it was sent with; `sets` are the fields of
    the profile that it changes, `ends` the sessions that it ends, and `may_end` those that a
    sign-in may end; `attempt` counts repetitions.
    """

    person: int
    kind: str
    sent: float
    session: int = 0
    sets: Mapping[str, Any] = field(default_factory=dict)
    ends: frozenset[int] = frozenset()
    may_end: frozenset[int] = frozenset()
    attempt: int = 0
    answered: float = UNANSWERED
    status: int = NO_ANSWER
    body: Any = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status == SUCCESS[self.kind]

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer, or the connection has failed."""
        return self.answered != UNANSWERED

    @property
    def is_done(self) -> bool:
        """Whether a client may rely on it. A repeated end of a session shows completion by 401."""
        return self.succeeded or (self.kind in ENDS and self.attempt > 0 and self.status == 401)

    @property
    def effective_from(self) -> float:
        """When its effect is certain: an answer without success leaves that open."""
        return self.answered if self.is_done else UNANSWERED

    def __str__(self) -> str:
        answered = "never" if self.answered == UNANSWERED else f"{self.answered:9.3f}"
        details = [f"session {self.session}"]
        details += [f"sets {dict(self.sets)}"] if self.sets and self.kind != SIGN_UP else []
        details += [f"ends sessions {sorted(self.ends)}"] if self.ends else []
        details += [self.error] if self.error else []
        details += [f"body {self.body}"] if self.kind in (READ, SIGN_UP) else []
        text = f"{self.sent:9.3f} to {answered} {self.kind:12} {self.status or 'no answer'}"
        return f"{text}, {', '.join(details)}"


@dataclass
class PersonRecord:
    """What a client knows of a person: addresses, tokens by session, and the id once signed up."""

    number: int
    profile: Mapping[str, Any]
    id: str = ""
    tokens: list[str] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)  # sessions whose end was sent
    is_deleted: bool = False  # the deletion was sent


class Ledger:
    """All entries in the order in which they were sent, append-only; written by one thread."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.people: list[PersonRecord] = []
        self._start = time.monotonic()

    def now(self) -> float:
        """Returns the seconds since the start of the run."""
        return time.monotonic() - self._start

    def open(self, person: PersonRecord, kind: str, session: int = 0, **fields: Any) -> Entry:
        """Records that a request is being sent."""
        entry = Entry(person.number, kind, self.now(), session, **fields)
        self.entries.append(entry)
        return entry

    def of(self, person: int) -> list[Entry]:
        """Returns the entries of a person."""
        return [entry for entry in self.entries if entry.person == person]
