"""The example backends, which ask Rollcall who sends each request."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.backends import Backend, make_backend, run_backends
from tests.support.client import ApiClient, wait_until, wait_until_readable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BIN = Path(sys.executable).parent
PORT = "{port}"
COMMANDS = {
    "django": [str(BIN / "gunicorn"), "--threads=8", f"--bind={HOST}:{PORT}", "app:application"],
    "fastapi": [str(BIN / "uvicorn"), f"--host={HOST}", f"--port={PORT}", "app:app"],
    "express": ["node", "app.js"],
}
CACHE_SECONDS = 1.0


def install_express() -> None:
    """Installs Express with npm, unless it is; skips the test where that cannot be."""
    folder = EXAMPLES / "express"
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Express needs Node.js (node and npm on the PATH)")
    if not (folder / "node_modules" / "express").exists():
        argv = ["npm", "install", "--package-lock=false", "--ignore-scripts", "--no-audit"]
        result = subprocess.run(argv, cwd=folder, check=False, capture_output=True, timeout=120)
        if result.returncode != 0:
            pytest.skip("npm could not install Express (is there a network?)")


class Example(NamedTuple):
    """A client of a running example, and the backend that it is for Rollcall."""

    http: httpx.Client
    backend: Backend


@pytest.fixture(scope="module", params=COMMANDS)
def example(
    stack: Stack,
    django_setup: None,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Example]:
    if request.param == "express":
        install_express()
    port = find_free_port()
    url, folder = f"http://{HOST}:{port}", str(EXAMPLES / request.param)
    command = [part.replace(PORT, str(port)) for part in COMMANDS[request.param]]
    argv = ["env", "-C", folder, "-u", "DJANGO_SETTINGS_MODULE", *command]
    log = tmp_path_factory.mktemp(request.param) / "log"
    with httpx.Client(base_url=stack.url) as rollcall, httpx.Client(base_url=url) as http:
        backend = make_backend(rollcall)
        env = {"ROLLCALL_URL": stack.url, "ROLLCALL_BACKEND_KEY": backend.key, "PORT": str(port)}
        env["PYTHONPATH"] = folder
        with Process(request.param, argv, log, env=os.environ | env) as process:
            wait_until(lambda: status(http) or not process.is_running, timeout=30)
            yield Example(http, backend)


def status(client: httpx.Client, **headers: str) -> int:
    try:
        return client.get("/hello/", headers=headers).status_code
    except httpx.TransportError:
        return 0


def test_person_is_greeted_until_their_session_ends(example: Example, api: ApiClient):
    person = api.sign_up()
    for _ in range(3):
        response = example.http.get("/hello/", headers=person.bearer)
        assert response.json() == {"id": person.id, "name": person.body["name"]}
    assert person.request("DELETE", "sessions/current/").status_code == 204
    wait_until(lambda: status(example.http, **person.bearer) == 401, timeout=CACHE_SECONDS + 20)


def test_request_without_an_active_token_is_a_401(example: Example, api: ApiClient):
    for value in ("", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {api.sign_up().token[:-1]}"):
        headers = {"Authorization": value} if value else {}
        response = example.http.get("/hello/", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"


def test_outage_of_rollcall_is_a_503_and_no_401(stack: Stack, example: Example, api: ApiClient):
    person = api.sign_up()
    stack.services["profiles"].stop()
    try:
        response = example.http.get("/hello/", headers=person.bearer)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    wait_until(lambda: status(example.http, **person.bearer) == 200, timeout=20)


def test_ended_key_of_the_backend_is_a_503_and_no_401(example: Example, api: ApiClient):
    """The last test of each example."""
    person = api.sign_up()
    assert run_backends("end", example.backend.name).returncode == 0
    wait_until(lambda: example.backend.status() == 401, timeout=20)
    wait_until(lambda: status(example.http, **person.bearer) == 503, timeout=20)
