"""The sign-up, beside a bare psycopg loop that inserts the same rows."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loadtests import ITS_OWN
from loadtests.bench import usage
from loadtests.bench.load import generate, ours
from loadtests.bench.pairing import Target, interleaved, ratio
from loadtests.bench.report import Section, table
from loadtests.bench.scale import Scale
from loadtests.people import new_body
from local.stack import Stack

_CLIENTS = 8
_MOST = 1_000  # sign-ups a second, for which there are bodies
_LIMIT = 0.5


@dataclass(frozen=True)
class Service:
    """Rollcall with its Postgres, for sign-ups over HTTP and for whoever inserts beside it."""

    stack: Stack
    seconds: float
    folder: Path

    def signed_up(self) -> float:
        """Sign-ups a second, from clients that each send the next when they have their answer."""
        bodies = self.folder / "bodies"
        count = int(self.seconds * _MOST)
        bodies.write_text("\n".join(json.dumps(new_body()) for _ in range(count)))
        options = {"seconds": self.seconds, "connections": _CLIENTS}
        argv = ours("sign-ups", self.stack.port, bodies, **options)
        return self._rate(generate(argv, self.seconds, self.folder))

    def inserted(self) -> float:
        """Rows of sign-ups that a bare loop inserts in a second."""
        argv = [sys.executable, "-m", "loadtests.bench.inserts", str(self.seconds)]
        env = self.stack.environment()
        return self._rate(generate(argv, self.seconds, self.folder, env))

    def cpu(self) -> float:
        """CPU seconds that the web processes have used."""
        return usage.cpu_seconds(usage.tree(self.stack.parts["write"].pid))

    @staticmethod
    def _rate(told: dict[str, float]) -> float:
        return told["requests"] / told["seconds"]


def run(scale: Scale, folder: Path) -> list[Section]:
    """Pairs of both, without the workers, whose work is not the sign-up's; then with them."""
    with Stack(folder / "data", env=ITS_OWN) as stack:
        service = Service(stack, scale.sign_up_seconds, folder)
        service.signed_up()  # to warm up
        beside_workers = service.signed_up()
        stack.parts["worker"].stop()
        before = service.cpu()
        sign_ups, inserts = interleaved(
            [service.signed_up, service.inserted], scale.rounds, lambda one: one()
        )
        cpu = (service.cpu() - before) / (sum(sign_ups) * scale.sign_up_seconds)
    times = ratio(sign_ups, inserts)
    rows = [
        ["a bare psycopg loop", f"{median(inserts):.0f}", ""],
        ["sign-ups over HTTP", f"{median(sign_ups):.0f}", str(times)],
        ["the same while workers deliver", f"{beside_workers:.0f}", ""],
    ]
    return [
        Section(
            f"Sign-ups, {_CLIENTS} clients at a time: {scale.rounds} rounds of"
            f" {scale.sign_up_seconds:g} s; {cpu * 1000:.1f} ms of CPU each, in the web processes",
            table(["", "a second", "to the loop"], rows),
            [Target("sign-ups, to a bare psycopg loop", times.median, _LIMIT, at_least=True)],
            {"sign_ups": sign_ups, "inserts": inserts, "beside_workers": beside_workers},
        )
    ]
