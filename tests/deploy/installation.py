"""The service as an installation: five containers of the image, its servers and fake providers."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local.postgres import Postgres
from local.processes import Process
from local.servers import Server, Valkey
from local.tcp_ports import HOST, find_free_port
from tests.deploy.containers import build_image, container
from tests.support.client import wait_until
from tests.support.fake_provider import FakeProvider
from tests.support.settings_process import PRODUCTION_ENV

METRICS_TOKEN = "a-token-of-at-least-20-characters"
CHECK = ["python", "manage.py", "check", "--deploy", "--fail-level=WARNING"]


@dataclass
class Installation:
    """Five containers, and what they talk to."""

    image: dict[str, Any]
    http: httpx.Client
    sendgrid: FakeProvider
    vonage: FakeProvider
    processes: dict[str, Process]
    start_seconds: float
    check_output: str
    folder: Path


@contextmanager
def run_installation(folder: Path) -> Iterator[Installation]:
    """Builds the image and runs it with production settings; logs are in `folder`."""
    image = build_image(folder)
    servers: dict[str, Server] = {
        "DATABASE_URL": Postgres(folder, durable=False),
        "REDIS_URL": Valkey(folder, "profiles"),
        "QUEUE_URL": Valkey(folder, "queue"),
    }
    read_port, write_port = find_free_port(), find_free_port()
    metrics = folder / "metrics"
    metrics.mkdir(mode=0o777)
    metrics.chmod(0o777)  # a volume of the container's user
    with ExitStack() as stack:
        sendgrid = stack.enter_context(FakeProvider())
        vonage = stack.enter_context(FakeProvider(tls=True))
        for server in servers.values():
            stack.enter_context(server)
        ca_file = folder / "ca.pem"  # which the image's user can read
        ca_file.write_text(Path(vonage.ca_file).read_text())
        ca_file.chmod(0o644)
        env = PRODUCTION_ENV | {
            **{name: server.url for name, server in servers.items()},
            "METRICS_TOKEN": METRICS_TOKEN,
            "METRICS_DIR": "/metrics",
            "REQUESTS_CA_BUNDLE": "/ca.pem",
            "SENDGRID_HOST": sendgrid.url,
            "TRUST_X_FORWARDED_PROTO": "1",
            "TRUSTED_PROXIES": "1",
            "VONAGE_HOST": vonage.host,
            "WRITE_UPSTREAM": f"{HOST}:{write_port}",
        }
        volumes = (f"{metrics}:/metrics", f"{ca_file}:/ca.pem:ro")

        def start(name: str, *command: str) -> Process:
            log = folder / f"{name}.log"
            return stack.enter_context(container(name, command, env, log, *volumes))

        def run(name: str, *command: str) -> str:
            process = start(name, *command)
            assert process.wait(120)
            assert process.status == 0, process.log_tail()
            return process.log_tail()

        check_output = run("check", *CHECK)
        run("migrate", "python", "manage.py", "migrate")
        started_at = time.monotonic()
        read = image["Config"]["Cmd"]
        write = ("gunicorn", "--config", "python:api.writes.gunicorn_config")
        processes = {
            "read": start(
                "read",
                *(part.replace("0.0.0.0:8000", f"{HOST}:{read_port}") for part in read),
            ),
            "write": start("write", *write, f"--bind={HOST}:{write_port}", "api.wsgi:application"),
            "worker": start("worker", "python", "manage.py", "run_huey"),
            "relay": start("relay", "python", "manage.py", "relay"),
        }
        http = stack.enter_context(
            httpx.Client(
                base_url=f"http://{HOST}:{read_port}",
                timeout=20,
                headers={"Host": "rollcall.example", "X-Forwarded-Proto": "https"},
            )
        )
        wait_until(lambda: is_ready(http), timeout=60)
        seconds = time.monotonic() - started_at
        yield Installation(image, http, sendgrid, vonage, processes, seconds, check_output, folder)


def is_ready(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return http.get("/readyz").status_code == 200
    return False
