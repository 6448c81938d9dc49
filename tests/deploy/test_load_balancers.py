"""Real load balancers with the configurations of deploy/, if installed."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.conftest import LONG
from tests.support.backends import make_backend
from tests.support.client import ApiClient, read_process, wait_until, write_process

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BALANCERS = {
    "haproxy": ["haproxy", "-db", "-f", "{config}"],
    "nginx": ["nginx", "-p", "{folder}", "-e", "stderr", "-c", "{config}", "-g", "daemon off;"],
}


@contextmanager
def run_balancer(name: str, folder: Path, read_url: str, write_url: str) -> Iterator[str]:
    """Runs a load balancer with the shipped configuration and other addresses; yields its URL."""
    port = find_free_port()
    config = folder / f"{name}.conf"
    source = DEPLOY / ("haproxy.cfg" if name == "haproxy" else "nginx.conf")
    text = source.read_text()
    for shipped_config, own in (
        ("127.0.0.1:8000", read_url.removeprefix("http://")),
        ("127.0.0.1:8001", write_url.removeprefix("http://")),
        (
            ":8080" if name == "haproxy" else "listen 8080",
            f":{port}" if name == "haproxy" else f"listen {port}",
        ),
    ):
        assert shipped_config in text
        text = text.replace(shipped_config, own)
    if name == "nginx":
        text = f"pid {folder}/nginx.pid;\n{text}"
    config.write_text(text)
    (folder / "logs").mkdir(exist_ok=True)
    argv = [part.format(config=config, folder=folder) for part in BALANCERS[name]]
    with Process(name, argv, folder / f"{name}.log", stop_signal=signal.SIGTERM) as process:
        url = f"http://{HOST}:{port}"
        wait_until(lambda: get_status(url) == 200 or process.wait(), timeout=30)
        assert process.is_running, process.log_tail()
        yield url


def get_status(url: str) -> int:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture(params=sorted(BALANCERS))
def client(stack: Stack, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a load balancer in front of a read process without proxy and a write process."""
    if not LONG:
        pytest.skip("the real load balancers are tried with LONG=1")
    if not shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip(
            f"{request.param} is not installed (on Debian: apt-get install {request.param})"
        )
    with (
        write_process(stack, TRUSTED_PROXIES="1") as (_, write_url),
        read_process(stack, WRITE_UPSTREAM="", TRUSTED_PROXIES="1") as (_, read_url),
        run_balancer(request.param, tmp_path, read_url, write_url) as url,
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


def test_balancer_routes_by_method_and_path(client: httpx.Client, django_db_access: None):
    api = ApiClient(client)
    person = api.sign_up()
    assert person.profile().json() == person.body
    assert person.patch({"name": "Grace"}).status_code == 200
    response = person.profile()
    assert response.json()["name"] == "Grace"
    assert person.profile(**{"If-None-Match": response.headers["etag"]}).status_code == 304
    head = person.request("HEAD", "profile")
    assert (head.status_code, head.content) == (200, b"")
    assert client.get("/api/v1/schema/").status_code == 200
    assert make_backend(client).introspect(person.token)["sub"] == person.id  # not a 503
    assert client.get("/api/v1/introspect").headers["allow"] == "POST"
    assert person.request("DELETE", "profile/").status_code == 204
    assert person.profile().status_code == 401
    # Only the write process counts requests against rate limits: this shows which side responded.
    assert "ratelimit" not in response.headers
    assert "ratelimit" in person.patch({}).headers
