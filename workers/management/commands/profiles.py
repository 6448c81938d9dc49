"""`manage.py profiles`: the profiles in Redis made anew from Postgres, compared with it, mended.

Exit status: 0 if all is well, 1 if there are differences (`repair`: if any are left), 2 if it
could not be done, or not to the end.
"""

import gc
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any
from uuid import UUID

from django import db
from django.core.management.base import BaseCommand, CommandParser
from redis import RedisError

from domain.errors import Unavailable
from domain.stores import bulk, differences, memory
from domain.stores.differences import Difference, Kind
from domain.stores.people import FIRST
from domain.stores.rebuild import rebuild
from domain.stores.repair import mend
from workers.progress import Progress

_WELL, _DIFFERENT, _NOT_DONE = 0, 1, 2


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Rebuild, verify or repair the profiles in Redis from Postgres, beside live traffic."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        action = actions.add_parser("rebuild", help="write every profile that is not as new")
        action.add_argument("--after", type=UUID, default=FIRST, metavar="ID", help="go on there")
        for name, text in (
            ("verify", "compare every profile with Postgres"),
            ("repair", "compare them, and mend those that differ"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument(
                "--show", type=int, default=10, metavar="N", help="name so many ids of each kind"
            )
            action.add_argument(
                "--patience",
                type=float,
                default=2.0,
                metavar="SECONDS",
                help="how long a write may be on its way before it is missed",
            )
        actions.add_parser("memory", help="what a profile takes of Redis' memory")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopped = Event()
        self.place: UUID | None = None  # where another rebuild may go on
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        gc.collect()
        # What is here by now stays, and what a page is made of has no cycles: to look through it
        # every 2,000 objects takes a sixth of the time.
        gc.freeze()
        gc.set_threshold(100_000)
        try:
            status = self._act(**options)
        except db.Error as error:
            status = self._failed("Postgres is away, or refuses", error)
        except (RedisError, Unavailable) as error:
            status = self._failed("The profile Redis is away, or refuses", error)
        sys.exit(status)

    def _act(self, action: str, **options: Any) -> int:
        if action == "rebuild":
            return self._rebuild(options["after"])
        if action == "memory":
            return self._memory()
        return self._compare(options["patience"], options["show"], mending=action == "repair")

    def _rebuild(self, after: UUID) -> int:
        began = time.monotonic()
        people = written = 0
        self.place = after
        with self._progress("people", bulk.share(after)) as progress:
            for done in rebuild(after):
                self.place = done.place
                people += done.people
                written += done.written
                progress.show(people, bulk.share(done.place), f"at {done.place}")
                if self.stopped.is_set():
                    return self._failed("Stopped")
        seconds = time.monotonic() - began
        self.stdout.write(
            f"{people:,} people: {written:,} profiles written, the others were as new. "
            f"{seconds:.1f} s, {people / seconds:,.0f} a second."
        )
        return _WELL

    def _compare(self, patience: float, show: int, *, mending: bool) -> int:
        ids: dict[Kind, list[UUID]] = {kind: [] for kind in Kind}
        counts = dict.fromkeys(Kind, 0)
        mended = 0
        try:
            for found in self._differences(patience):
                for each in found:
                    counts[each.kind] += 1
                    ids[each.kind] += [each.id] if counts[each.kind] <= show else []
                if mending and found:
                    mended += len(found) - len(mend(found))
        finally:
            for kind in Kind:
                self.stdout.write(f"{kind}: {counts[kind]:,} {' '.join(map(str, ids[kind]))}")
            left = sum(counts.values()) - mended
            self.stdout.write(
                f"{mended:,} mended, {left:,} left." if mending else f"{left:,} in all."
            )
        if self.stopped.is_set():
            return self._failed("Stopped")
        return _DIFFERENT if left else _WELL

    def _differences(self, patience: float) -> Iterator[list[Difference]]:
        """What is different, bit by bit, until there is no more or somebody says to stop."""
        by_people = differences.of_people(patience, self.stopped)
        for what, steps in (("people", by_people), ("hashes", differences.of_nobody())):
            count = 0
            with self._progress(what) as progress:
                for step in steps:
                    if self.stopped.is_set():
                        return
                    count += step.count
                    progress.show(count, step.share)
                    yield step.found
            self.stdout.write(f"{count:,} {what} compared.")

    def _memory(self) -> int:
        found = memory.measure()
        self.stdout.write(
            f"{found.keys:,} keys: {found.used:.0f} bytes each, bodies of {found.body:.0f} bytes: "
            f"{found.factor:.2f} times as much."
        )
        return _WELL

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Stop after the page that is under way; the next signal ends it at once."""
        self.stopped.set()
        signal.signal(number, signal.SIG_DFL)

    def _failed(self, sentence: str, error: Exception | None = None) -> int:
        reason = next(iter(str(error).splitlines()), "") if error else ""
        self.stderr.write(f"{sentence}{': ' if reason else ''}{reason}.")
        if self.place is not None:
            self.stderr.write(f"Go on with: manage.py profiles rebuild --after {self.place}")
        return _NOT_DONE

    @contextmanager
    def _progress(self, what: str, share: float = 0.0) -> Iterator[Progress]:
        progress = Progress(sys.stderr, what, share)
        try:
            yield progress
        finally:
            progress.end()
