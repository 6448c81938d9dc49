"""`make load`: 3,500 requests a minute, one in ten a sign-up, while the workers deliver.

Starts a whole stack of its own (or takes a running one: `--url`), has locust load it, and prints
what was measured. Exit status 1 when a limit is missed or anything failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from loadtests.people import new_body
from loadtests.report import Report
from local.stack import Stack

USERS = 100
PEOPLE = 300
WARM_UP = 5.0  # seconds, not counted
DELIVERED_WITHIN = 60.0  # seconds after the last sign-up


def main() -> int:
    """Run the load that the command line asks for; the exit status."""
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-load-")))
        url = options.url
        if url is None:
            url = stack.enter_context(Stack(folder / "data")).url
        result = _run_locust(folder, url, options)
        missing = _undelivered(url, result["signed_up"])
    report = Report(result["requests"], options.seconds, options.rate, len(result["signed_up"]))
    reasons = report.reasons(options.reads_p99, options.sign_ups_p99)
    if missing:
        reasons.append(f"{missing} messages were not delivered in {DELIVERED_WITHIN:g} s")
    print(report.table())
    print(f"messages delivered: {2 * len(result['signed_up']) - missing}, missing: {missing}")
    print("FAIL: " + "; ".join(reasons) if reasons else "PASS")
    return 1 if reasons else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("--url", help="a running service with the development mailbox")
    parser.add_argument("--rate", type=float, default=3500, help="requests a minute (3500)")
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure (60)")
    parser.add_argument("--reads-p99", type=float, default=10, metavar="MS", help="limit (10)")
    parser.add_argument("--sign-ups-p99", type=float, default=100, metavar="MS", help="limit (100)")
    return parser.parse_args()


def _run_locust(folder: Path, url: str, options: argparse.Namespace) -> Any:
    """Locust in a process of its own, because it patches the one it is in; what it kept."""
    load, result = folder / "load.json", folder / "result.json"
    plan = {
        "users": USERS,
        "rate": options.rate / 60,
        "people": _sign_up(url, PEOPLE),
        "result": str(result),
    }
    load.write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--host", url]
    argv += ["--locustfile", str(Path(__file__).with_name("locustfile.py"))]
    argv += ["--users", str(USERS), "--spawn-rate", str(USERS)]
    argv += ["--run-time", f"{WARM_UP + options.seconds + 1:g}s", "--exit-code-on-error", "0"]
    log = folder / "locust.log"
    with log.open("w") as output:
        ended = subprocess.run(
            argv,
            env={**os.environ, "LOAD": str(load)},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=WARM_UP + options.seconds + 60,
        )
    if ended.returncode or not result.exists():
        raise SystemExit(f"locust ended with {ended.returncode}\n{log.read_text()[-2000:]}")
    kept = json.loads(result.read_text())
    first = min(at for _, at, _, _ in kept["requests"]) + WARM_UP
    window = (first, first + options.seconds)
    kept["requests"] = [r for r in kept["requests"] if window[0] <= r[1] < window[1]]
    return kept


def _sign_up(url: str, count: int) -> list[dict[str, str]]:
    """People whose profiles can be read from the first moment on."""
    people = []
    with httpx.Client(base_url=url, timeout=10) as client:
        for _ in range(count):
            body = new_body()
            answer = client.post("/api/v1/signup/", json=body)
            answer.raise_for_status()
            token = answer.json()["session"]["token"]
            people.append({"email": body["email"], "phone": body["phone"], "token": token})
    return people


def _undelivered(url: str, people: list[dict[str, str]]) -> int:
    """How many of the people's messages are not in the mailbox within the time they have."""
    wanted = {person[channel] for person in people for channel in ("email", "phone")}
    deadline = time.monotonic() + DELIVERED_WITHIN
    pause = threading.Event()
    while True:
        messages = httpx.get(f"{url}/dev/mailbox.json", timeout=30).json()
        missing = wanted - {message["to"] for message in messages}
        if not missing or time.monotonic() > deadline:
            return len(missing)
        pause.wait(0.5)


if __name__ == "__main__":
    sys.exit(main())
