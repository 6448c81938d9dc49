"""The API client of the tests, and the people who signed up with it."""

import copy
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from local.commands import read_command
from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port

_numbers = itertools.count(os.getpid() * 1000 % 1_000_000)
_timer = threading.Event()
_ROOT = Path(__file__).resolve().parents[2]
ISSUED_TOKENS: list[str] = []  # of all people


def wait_until[T](condition: Callable[[], T], timeout: float = 60.0) -> T:
    """Returns the result of `condition` once it is true. Fails after `timeout` seconds."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        _timer.wait(pause)
        pause = min(0.1, pause * 1.4)  # most conditions are requests, which take CPU
    return result


def wait_until_readable(stack: Stack) -> None:
    """Returns once every read process serves profiles after an outage of their Redis.

    Each retries to connect at least every 0.4 seconds.
    """
    wait_until(lambda: httpx.get(f"{stack.url}/readyz?capability=read").status_code == 200)
    _timer.wait(0.5)


@contextmanager
def read_process(
    stack: Stack, config: str = "api.http_server.gunicorn_config", **env: str
) -> Iterator[tuple[Process, str]]:
    """Runs another read process (with one worker) on the stack's databases; yields it and its URL.

    `config` is the module of gunicorn's settings; `env` adds to the environment, such as the `PORT`
    (by default a free one). It passes writes on to the stack's write process unless WRITE_UPSTREAM
    is set.
    """
    port = int(env.get("PORT") or find_free_port())
    log = stack.data_dir / "logs" / f"read-{port}.log"
    metrics = {"METRICS_DIR": str(stack.data_dir / f"metrics-{port}")}
    argv = read_command(port, 1, config)
    with Process("read", argv, log, env=stack.environment() | metrics | env) as read:
        url = f"http://{HOST}:{port}"
        wait_until(lambda: log.read_text().count("worker_started") >= 1, timeout=30)
        wait_until(lambda: _is_alive(url), timeout=30)
        yield read, url


@contextmanager
def extra_service(stack: Stack, **env: str) -> Iterator[tuple[Process, str]]:
    """Runs another read process and a write process behind it, on the stack's databases, with more
    environment for both; yields the read process and its URL.
    """
    with (
        write_process(stack, **env) as (_, write_url),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(write_url)}", **env) as read,
    ):
        yield read


@contextmanager
def write_process(stack: Stack, **env: str) -> Iterator[tuple[Process, str]]:
    """Runs a write process on the stack's databases, on a TCP port; yields it and its URL.

    It also listens on the unix socket `socket_path(url)`. `WEB_CONCURRENCY` is the number of
    workers.
    """
    port = find_free_port()
    url = f"http://{HOST}:{port}"
    log = stack.data_dir / "logs" / f"write-{port}.log"
    argv = [str(Path(sys.executable).parent / "gunicorn")]
    argv += ["--config", "python:api.writes.gunicorn_config", "--chdir", str(_ROOT)]
    argv += ["--bind", f"{HOST}:{port}", "--bind", f"unix:{socket_path(url)}"]
    argv.append("api.wsgi:application")
    metrics = {"METRICS_DIR": str(stack.data_dir / f"metrics-{port}")}
    with Process("write", argv, log, env=stack.environment() | metrics | env) as write:
        wait_until(lambda: _is_alive(url), timeout=60)
        yield write, url


def socket_path(url: str) -> str:
    """Returns the path of a write process' unix socket, short enough for unix(7)."""
    return f"/tmp/rollcall-test-{url.rpartition(':')[2]}.sock"


def _is_alive(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/livez").status_code == 200
    return False


def sign_up_payload(**fields: Any) -> dict[str, Any]:
    """Returns a valid sign-up body with a unique address, some fields replaced."""
    number = next(_numbers)
    body = {
        "name": "Ada",
        "surname": "Lovelace",
        "email": f"ada{number}@example.com",
        "phone": f"+34666{number:06}",
        "hobbies": ["engines", "poetry"],
    }
    return body | fields


@dataclass
class SignedUpPerson:
    """A person who has signed up."""

    api: "ApiClient"
    response: httpx.Response
    body: dict[str, Any] = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        assert self.response.status_code == 201, self.response.text
        self.body = self.response.json()["profile"]
        self.token = self.response.json()["session"]["token"]
        ISSUED_TOKENS.append(self.token)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def profile(self, **headers: str) -> httpx.Response:
        return self.api.http.get("/api/v1/profile/", headers=self.bearer | headers)

    def message(self, channel: str) -> dict[str, Any]:
        """Returns the newest message to this person on a channel, once there is one."""
        return wait_until(lambda: self.messages(channel))[0]

    def wait_for_outbox(self) -> None:
        """Returns once all outbox entries of this person are done; needs Django."""
        from domain.postgres.models import OutboxEntry

        rows = OutboxEntry.objects.filter(person_id=self.response.json()["id"])
        wait_until(lambda: set(rows.values_list("state", flat=True)) == {"done"})

    def messages(self, channel: str) -> list[dict[str, Any]]:
        return self.api.mailbox(self.body[channel])

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Sends an API request with this person's token."""
        headers = self.bearer | options.pop("headers", {})
        return self.api.http.request(method, f"/api/v1/{path}", headers=headers, **options)

    def patch(self, fields: dict[str, Any], **headers: str) -> httpx.Response:
        return self.request("PATCH", "profile/", json=fields, headers=headers)

    def with_token(self, token: str) -> "SignedUpPerson":
        """Returns the same person with another session."""
        other = copy.copy(self)
        other.token = token
        ISSUED_TOKENS.append(token)
        return other

    def sign_in(self, channel: str = "email") -> "SignedUpPerson":
        """Returns the same person in a new session, created with a code."""
        response = self.api.sign_in(*self.request_code(channel))
        assert response.status_code == 201, response.text
        return self.with_token(response.json()["session"]["token"])

    def request_code(self, channel: str = "email") -> tuple[str, str]:
        """Requests a sign-in code; returns the challenge and the code, once it is there."""
        before = len(self.messages(channel))
        challenge = self.api.request_challenge(**{channel: self.body[channel]})
        wait_until(lambda: len(self.messages(channel)) > before)
        return challenge, self.message(channel)["code"]

    @property
    def id(self) -> str:
        return str(self.response.json()["id"])

    def confirm(self, channel: str, code: str | None = None) -> httpx.Response:
        code = code or self.message(channel)["code"]
        return self.api.post(f"/api/v1/confirmations/{channel}/", {"code": code}, **self.bearer)


class ApiClient:
    """The service as its clients see it."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=headers)

    def sign_up(self, **fields: Any) -> SignedUpPerson:
        return SignedUpPerson(self, self.post("/api/v1/signup/", sign_up_payload(**fields)))

    def request_challenge(self, **address: str) -> str:
        """Requests a sign-in code for an address; returns the challenge."""
        response = self.post("/api/v1/sessions/", address)
        assert response.status_code == 202, response.text
        challenge: str = response.json()["challenge"]
        return challenge

    def sign_in(self, challenge: str, code: str) -> httpx.Response:
        return self.post("/api/v1/sessions/confirm/", {"challenge": challenge, "code": code})

    def mailbox(self, to: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.http.get(
            "/dev/mailbox.json", params={"to": to}
        ).json()
        return messages


def problem_code(response: httpx.Response) -> str:
    """Returns the code of a problem document, and checks its form."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail"} < problem.keys()
    code: str = problem["code"]
    return code


def field_errors(response: httpx.Response) -> dict[str, str]:
    """Returns the codes of a `validation_failed` by field."""
    assert problem_code(response) == "validation_failed"
    return {error["field"]: error["code"] for error in response.json()["errors"]}
