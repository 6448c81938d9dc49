"""`manage.py profiles`: rebuilds, verifies and repairs the profiles in Redis from Postgres.

Exit status: 0 if all is right, 1 if there are differences (`repair`: if any are left), 2 if it
failed or was stopped.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event
from types import FrameType
from typing import Any
from uuid import UUID

from django import db
from django.core.management.base import BaseCommand, CommandParser
from redis import RedisError

from domain.model.errors import ServiceUnavailable
from domain.postgres.person_queries import NIL_UUID
from domain.projection import verify
from domain.projection.parallel_rebuild import rebuild_in_parallel
from domain.projection.people_pages import id_fraction
from domain.projection.rebuild import rebuild
from domain.projection.repair import repair
from domain.projection.verify import Difference, Kind

EXIT_OK, EXIT_DIFFERENCES, EXIT_ERROR = 0, 1, 2
_MAX_IDS = 10  # printed of each kind
_PROGRESS_INTERVAL = 5.0  # seconds


class Command(BaseCommand):
    requires_system_checks = ()
    help = """Compares the profiles in Redis with Postgres, during live traffic: "rebuild" writes
    those that are missing or older, "verify" reports all that differ, "repair" rewrites them."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("rebuild", "verify", "repair"))
        parser.add_argument(
            "--resume-after",
            type=UUID,
            default=NIL_UUID,
            metavar="ID",
            help="rebuild: start after this id",
        )
        parser.add_argument(
            "--processes",
            type=int,
            default=min(len(os.sched_getaffinity(0)), 4),
            metavar="N",
            help="rebuild: how many processes; by default one for each core, at most 4",
        )
        parser.add_argument(
            "--grace-period",
            type=float,
            default=2.0,
            metavar="SECONDS",
            help="verify, repair: how long a write may take to reach Redis",
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        self.stop_event = Event()
        self.cursor: UUID | None = None  # after which another rebuild may resume
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        gc.collect()
        # What is allocated by now stays, and the objects of a page have no cycles: collecting every
        # 2,000 objects takes a sixth of the time.
        gc.freeze()
        gc.set_threshold(100_000)
        try:
            if action == "rebuild":
                status = self._rebuild(**options)
            else:
                status = self._compare(action, **options)
        except db.Error as error:
            status = self._fail("Postgres is unavailable or rejects the command", error)
        except (RedisError, ServiceUnavailable) as error:
            status = self._fail("The profile Redis is unavailable or rejects the command", error)
        sys.exit(status)

    def _rebuild(self, resume_after: UUID, processes: int, **_: Any) -> int:
        self.cursor = resume_after
        started_at = time.monotonic()
        people_count = written_count = 0
        show_progress = self._start_progress("people", id_fraction(resume_after))
        pages = (
            rebuild_in_parallel(resume_after, processes) if processes > 1 else rebuild(resume_after)
        )
        for page in pages:
            self.cursor = page.last_id
            people_count += page.people_count
            written_count += page.written_count
            show_progress(people_count, id_fraction(page.last_id), f"at {page.last_id}")
            if self.stop_event.is_set():
                return self._fail("Stopped")
        seconds = time.monotonic() - started_at
        self.stdout.write(
            f"{people_count:,} people: {written_count:,} profiles written, the others were up to"
            f" date. {seconds:.1f} s, {people_count / seconds:,.0f} per second."
        )
        return EXIT_OK

    def _compare(self, action: str, grace_period: float, **_: Any) -> int:
        counts = dict.fromkeys(Kind, 0)
        ids: dict[Kind, list[UUID]] = {kind: [] for kind in Kind}
        left = dict.fromkeys(Kind, 0)
        try:
            for differences in self._find_differences(grace_period):
                for difference in differences:
                    counts[difference.kind] += 1
                    if len(ids[difference.kind]) < _MAX_IDS:
                        ids[difference.kind].append(difference.id)
                for difference in repair(differences) if action == "repair" else differences:
                    left[difference.kind] += 1
        finally:
            for kind in Kind:
                self.stdout.write(f"{kind}: {counts[kind]:,} {' '.join(map(str, ids[kind]))}")
            remaining = sum(left.values())
            repaired = sum(counts.values()) - remaining
            summary = f"{repaired:,} repaired, {remaining:,} left."
            self.stdout.write(summary if action == "repair" else f"{remaining:,} in total.")
        if self.stop_event.is_set():
            return self._fail("Stopped")
        verify.save_result(left)
        return EXIT_DIFFERENCES if remaining else EXIT_OK

    def _find_differences(self, grace_period: float) -> Iterator[list[Difference]]:
        """Yields the differences by batches, until all are compared or the command is stopped."""
        people_batches = verify.verify_people(grace_period, self.stop_event)
        for unit, batches in (("people", people_batches), ("hashes", verify.find_orphans())):
            count = 0
            show_progress = self._start_progress(unit)
            for batch in batches:
                if self.stop_event.is_set():
                    return
                count += batch.hash_count
                show_progress(count, batch.fraction)
                yield batch.differences
            self.stdout.write(f"{count:,} {unit} compared.")

    def _start_progress(self, unit: str, initial_fraction: float = 0.0) -> Callable[..., None]:
        """Returns a function that prints the progress every few seconds: the count and the fraction
        done, the rate, the remaining time, and the position.
        """
        started_at = printed_at = time.monotonic()

        def show_progress(count: int, fraction: float, position: str = "") -> None:
            nonlocal printed_at
            now = time.monotonic()
            if now - printed_at < _PROGRESS_INTERVAL or fraction <= initial_fraction:
                return
            printed_at = now
            seconds = now - started_at
            remaining = seconds * (1 - fraction) / (fraction - initial_fraction)
            self.stderr.write(
                f"{fraction:4.0%}  {count:,} {unit}  {count / seconds:,.0f} per second"
                f"  {remaining:,.0f} s left  {position}".rstrip()
            )

        return show_progress

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Stops after the current page; the next signal terminates at once."""
        self.stop_event.set()
        signal.signal(number, signal.SIG_DFL)

    def _fail(self, message: str, error: Exception | None = None) -> int:
        reason = next(iter(str(error).splitlines()), "") if error else ""
        self.stderr.write(f"{message}{': ' if reason else ''}{reason}.")
        if self.cursor is not None:
            self.stderr.write(
                f"Resume with: manage.py profiles rebuild --resume-after {self.cursor}"
            )
        return EXIT_ERROR
