"""People who sign up, confirm, change their profile, sign out and read; all goes to the ledger."""

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from loadtests.faults.http import HttpClient
from loadtests.faults.ledger import (
    CHANGE,
    CONFIRM,
    DELETE,
    READ,
    REQUEST_CODE,
    SIGN_IN,
    SIGN_OUT,
    SIGN_UP,
    Entry,
    Ledger,
    PersonRecord,
)
from loadtests.faults.providers import CONFIRMATION, SIGN_IN_CODE, ProviderStandIn
from loadtests.people import HOBBIES, sign_up_payload

_READERS = 4
_MAX_PEOPLE = 50  # at a time: others would come in vain during an outage
_RETRY_DELAY, _MAX_RETRY_DELAY = 0.5, 4.0  # seconds; it grows by half
_MAX_ATTEMPTS = 40
_CODE_POLL = 1.0  # seconds until someone who waits for a code sees that the run ends
_RECENT = 40  # people, and ended sessions, that are read more often than others
type _Step = Callable[[PersonRecord, random.Random], Awaitable[bool]]
_NOT_NOW = (0, 409, 503)  # no answer, in progress, unavailable: the client repeats the request


class Clients:
    """All clients of a run. `rate` and `read_rate` are sign-ups and reads a second."""

    def __init__(
        self, url: str, ledger: Ledger, providers: ProviderStandIn, seed: int,
        rate: float, read_rate: float,
    ) -> None:  # fmt: skip  # one parameter a line would be longer than the code
        self._http = HttpClient(url)
        self._ledger = ledger
        self._providers = providers
        self._random = random.Random(seed)
        self._rate, self._read_rate = rate, read_rate
        self._ended: deque[tuple[PersonRecord, int]] = deque(maxlen=_RECENT)
        self._stopping = False

    async def run(self) -> None:
        """Runs until `stop()`, and until each person has completed what they were doing."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_READERS):
                tasks.create_task(self._read_at_random())
            people: set[asyncio.Task[None]] = set()
            while not self._stopping:
                if len(people) < _MAX_PEOPLE:
                    rng = random.Random(self._random.random())
                    people.add(life := tasks.create_task(self._live(rng)))
                    life.add_done_callback(people.discard)
                await asyncio.sleep(self._random.expovariate(self._rate))

    def stop(self) -> None:
        """Ends the reads, and each life after its current step; from any thread."""
        self._stopping = True

    def close(self) -> None:
        """Closes all connections; for the loop's thread."""
        self._http.close()

    async def read_all(self) -> None:
        """Reads every profile once with each session."""
        for person in self._ledger.people:
            for session in range(len(person.tokens)):
                await self._read(person, session)

    # --- a life ------------------------------------------------------------------------------

    async def _live(self, rng: random.Random) -> None:
        """Signs a person up, and does what people do, in a random order."""
        person = PersonRecord(len(self._ledger.people), sign_up_payload())
        self._ledger.people.append(person)
        if not await self._sign_up(person):
            return
        for step in self._choose_steps(rng):
            await self._read(person, len(person.tokens) - 1)
            await asyncio.sleep(rng.expovariate(3))
            if self._stopping or not await step(person, rng):
                return
        await self._read(person, len(person.tokens) - 1)

    def _choose_steps(self, rng: random.Random) -> list[_Step]:
        end = rng.choice((self._sign_out, self._sign_out_everywhere, self._delete))
        if rng.random() < 0.4:
            return [self._change_from_two_devices, end]
        steps: list[_Step] = [self._change] * rng.randint(1, 3)
        steps += [self._confirm_phone] * rng.randint(0, 1)
        rng.shuffle(steps)
        if rng.random() < 0.8:
            steps.append(self._confirm_email)
            steps += [self._sign_in] * rng.choice((0, 0, 1, 2))
        steps += [self._change_from_two_devices] * rng.randint(0, 2)
        return [*steps, end][: rng.randint(1, len(steps) + 1)]

    async def _sign_up(self, person: PersonRecord) -> bool:
        sets = {**person.profile, "email_verified": False, "phone_verified": False}
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answer = await self._write(
            person, SIGN_UP, "POST", "signup/", dict(person.profile), headers, sets=sets
        )
        if answer.succeeded:
            person.id = answer.body["id"]
            person.tokens.append(answer.body["session"]["token"])
        return answer.succeeded

    async def _change(self, person: PersonRecord, rng: random.Random) -> bool:
        field = rng.choice(("name", "surname", "hobbies"))
        value = rng.sample(HOBBIES, k=2) if field == "hobbies" else f"Ada {rng.random():.9f}"
        answer = await self._write(
            person, CHANGE, "PATCH", "profile/", {field: value}, sets={field: value}
        )
        return answer.succeeded

    async def _change_from_two_devices(self, person: PersonRecord, rng: random.Random) -> bool:
        results = await asyncio.gather(self._change(person, rng), self._change(person, rng))
        return all(results)

    async def _confirm_email(self, person: PersonRecord, rng: random.Random) -> bool:
        return await self._confirm(person, "email")

    async def _confirm_phone(self, person: PersonRecord, rng: random.Random) -> bool:
        return await self._confirm(person, "phone")

    async def _confirm(self, person: PersonRecord, channel: str) -> bool:
        code = await self._wait_for_code(person.profile[channel], CONFIRMATION)
        if not code:
            return False
        answer = await self._write(
            person, CONFIRM, "POST", f"confirmations/{channel}/", {"code": code},
            sets={f"{channel}_verified": True},
        )  # fmt: skip  # as above
        return answer.succeeded

    async def _sign_in(self, person: PersonRecord, rng: random.Random) -> bool:
        """Creates another session by a code. Gives up if an answer is lost: the code of an
        unknown challenge may be the next that arrives.
        """
        email = person.profile["email"]
        known = self._providers.codes(email)
        answer = await self._write(person, REQUEST_CODE, "POST", "sessions/", {"email": email})
        if not answer.succeeded or answer.attempt:
            return False
        code = await self._wait_for_code(email, SIGN_IN_CODE, known)
        if not code:
            return False
        body = {"challenge": answer.body["challenge"], "code": code}
        answer = await self._write(
            person, SIGN_IN, "POST", "sessions/confirm/", body,
            may_end=frozenset(range(len(person.tokens))),
        )  # fmt: skip  # as above
        if answer.succeeded:
            person.tokens.append(answer.body["session"]["token"])
        return answer.succeeded

    async def _sign_out(self, person: PersonRecord, rng: random.Random) -> bool:
        session = len(person.tokens) - 1
        await self._end(person, SIGN_OUT, "sessions/current/", {session})
        return False

    async def _sign_out_everywhere(self, person: PersonRecord, rng: random.Random) -> bool:
        await self._end(person, SIGN_OUT, "sessions/", set(range(len(person.tokens))))
        return False

    async def _delete(self, person: PersonRecord, rng: random.Random) -> bool:
        person.is_deleted = True
        await self._end(person, DELETE, "profile/", set(range(len(person.tokens))))
        return False

    async def _end(self, person: PersonRecord, kind: str, path: str, sessions: set[int]) -> None:
        person.ended |= sessions
        await self._write(person, kind, "DELETE", path, ends=frozenset(sessions))
        self._ended.extend((person, session) for session in sessions)

    async def _wait_for_code(self, to: str, purpose: str, known: set[str] | None = None) -> str:
        """Returns the code of a message; empty if none arrives before the end of the run."""
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CODE_POLL):
                    return await self._providers.wait_for(to, purpose, known or ())
        return ""

    # --- requests ----------------------------------------------------------------------------

    async def _write(
        self, person: PersonRecord, kind: str, method: str, path: str, body: Any = None,
        headers: Mapping[str, str] | None = None, **effect: Any,
    ) -> Entry:  # fmt: skip  # as above
        """Sends a write, again while the service is unavailable; returns the last answer."""
        session = max(0, len(person.tokens) - 1)
        token = person.tokens[session] if person.tokens and kind != SIGN_IN else ""
        for attempt in range(_MAX_ATTEMPTS):
            entry = self._ledger.open(person, kind, session, attempt=attempt, **effect)
            sending = self._http.send(method, f"/api/v1/{path}", token, body, headers or {})
            await self._record(entry, sending)
            if entry.status not in _NOT_NOW:
                break
            await asyncio.sleep(min(_RETRY_DELAY * 1.5**attempt, _MAX_RETRY_DELAY))
        return entry

    async def _read(self, person: PersonRecord, session: int) -> None:
        entry = self._ledger.open(person, READ, session)
        await self._record(entry, self._http.get("/api/v1/profile/", person.tokens[session]))

    async def _record(self, entry: Entry, request: Any) -> None:
        """Awaits the response of a request, and records it."""
        try:
            entry.status, entry.body = await request
        except (OSError, asyncio.IncompleteReadError) as error:
            entry.error = repr(error)
        entry.answered = self._ledger.now()

    async def _read_at_random(self) -> None:
        """Reads profiles at a fixed rate, of recent people and with ended sessions more often."""
        while not self._stopping:
            due = self._ledger.now() + _READERS / self._read_rate
            if chosen := self._choose_session():
                await self._read(*chosen)
            await asyncio.sleep(max(0.0, due - self._ledger.now()))

    def _choose_session(self) -> tuple[PersonRecord, int] | None:
        kind = self._random.random()
        if kind < 0.25 and self._ended:
            return self._random.choice(self._ended)
        people = self._ledger.people[-_RECENT if kind < 0.6 else 0 :]
        known = [person for person in people if person.tokens]
        if not known:
            return None
        person = self._random.choice(known)
        return person, self._random.randrange(len(person.tokens))
