"""`manage.py profiles`: rebuilds, verifies and repairs the profiles in Redis from Postgres.

Exit status: 0 if all is right, 1 if there are differences (`repair`: if any are left), 2 if it
failed or was stopped.
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

from domain.model.errors import ServiceUnavailable
from domain.postgres.person_queries import NIL_UUID
from domain.projection import memory, pipeline, verify
from domain.projection.rebuild import rebuild
from domain.projection.repair import repair
from domain.projection.verify import Difference, Kind
from workers.progress import ProgressBar

EXIT_OK, EXIT_DIFFERENCES, EXIT_ERROR = 0, 1, 2


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Rebuild, verify or repair the profiles in Redis from Postgres, during live traffic."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        action = actions.add_parser("rebuild", help="write every profile that is not up to date")
        action.add_argument(
            "--resume-after", type=UUID, default=NIL_UUID, metavar="ID", help="start after this id"
        )
        for name, text in (
            ("verify", "compare every profile with Postgres"),
            ("repair", "compare them, and rewrite those that differ"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument(
                "--max-ids",
                type=int,
                default=10,
                metavar="N",
                help="print up to N ids of each kind",
            )
            action.add_argument(
                "--grace-period",
                type=float,
                default=2.0,
                metavar="SECONDS",
                help="how long a write may take to reach Redis",
            )
        actions.add_parser("memory", help="memory usage of a profile in Redis")

    def handle(self, *args: Any, **options: Any) -> None:
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
            status = self._run_action(**options)
        except db.Error as error:
            status = self._fail("Postgres is unavailable or rejects the command", error)
        except (RedisError, ServiceUnavailable) as error:
            status = self._fail("The profile Redis is unavailable or rejects the command", error)
        sys.exit(status)

    def _run_action(self, action: str, **options: Any) -> int:
        if action == "rebuild":
            return self._rebuild(options["resume_after"])
        if action == "memory":
            return self._memory()
        return self._compare(
            options["grace_period"], options["max_ids"], repairing=action == "repair"
        )

    def _rebuild(self, after: UUID) -> int:
        started_at = time.monotonic()
        people_count = written_count = 0
        self.cursor = after
        with self._progress("people", pipeline.id_fraction(after)) as progress:
            for page in rebuild(after):
                self.cursor = page.last_id
                people_count += page.people_count
                written_count += page.written_count
                progress.update(
                    people_count, pipeline.id_fraction(page.last_id), f"at {page.last_id}"
                )
                if self.stop_event.is_set():
                    return self._fail("Stopped")
        seconds = time.monotonic() - started_at
        self.stdout.write(
            f"{people_count:,} people: {written_count:,} profiles written, the others were up to"
            f" date. {seconds:.1f} s, {people_count / seconds:,.0f} per second."
        )
        return EXIT_OK

    def _compare(self, grace_period: float, max_ids: int, *, repairing: bool) -> int:
        ids: dict[Kind, list[UUID]] = {kind: [] for kind in Kind}
        counts = dict.fromkeys(Kind, 0)
        repaired = 0
        try:
            for differences in self._differences(grace_period):
                for difference in differences:
                    counts[difference.kind] += 1
                    ids[difference.kind] += (
                        [difference.id] if counts[difference.kind] <= max_ids else []
                    )
                if repairing and differences:
                    repaired += len(differences) - len(repair(differences))
        finally:
            for kind in Kind:
                self.stdout.write(f"{kind}: {counts[kind]:,} {' '.join(map(str, ids[kind]))}")
            remaining = sum(counts.values()) - repaired
            self.stdout.write(
                f"{repaired:,} repaired, {remaining:,} left."
                if repairing
                else f"{remaining:,} in total."
            )
        if self.stop_event.is_set():
            return self._fail("Stopped")
        return EXIT_DIFFERENCES if remaining else EXIT_OK

    def _differences(self, grace_period: float) -> Iterator[list[Difference]]:
        """Yields the differences by batches, until all are compared or the command is stopped."""
        people_batches = verify.verify_people(grace_period, self.stop_event)
        for unit, batches in (("people", people_batches), ("hashes", verify.find_orphans())):
            count = 0
            with self._progress(unit) as progress:
                for batch in batches:
                    if self.stop_event.is_set():
                        return
                    count += batch.count
                    progress.update(count, batch.fraction)
                    yield batch.differences
            self.stdout.write(f"{count:,} {unit} compared.")

    def _memory(self) -> int:
        usage = memory.measure()
        self.stdout.write(
            f"{usage.key_count:,} keys of {usage.bytes_per_key:.0f} bytes, bodies of"
            f" {usage.bytes_per_body:.0f} bytes: {usage.overhead_ratio:.2f} times as much."
        )
        return EXIT_OK

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

    @contextmanager
    def _progress(self, unit: str, initial_fraction: float = 0.0) -> Iterator[ProgressBar]:
        progress = ProgressBar(sys.stderr, unit, initial_fraction)
        try:
            yield progress
        finally:
            progress.close()
