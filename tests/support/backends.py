"""Backends of the tests: keys made by the command, and introspection with them."""

import io
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from tests.support.client import ISSUED_TOKENS, wait_until

PATH = "/api/v1/introspect/"


class Result(NamedTuple):
    """What the command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def run_backends(*arguments: str) -> Result:
    """Runs `manage.py backends` with these arguments; needs Django."""
    from django.core.management import CommandError, call_command

    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        call_command("backends", *arguments, stdout=stdout, stderr=stderr)
    except CommandError as error:
        return Result(error.returncode, stdout.getvalue(), str(error))
    finally:
        words = stdout.getvalue().split()
        ISSUED_TOKENS.extend(word for word in words if word.startswith("rollcall_bk_"))
    return Result(0, stdout.getvalue(), stderr.getvalue())


class Backend:
    """A backend of the operator with its key."""

    def __init__(self, http: httpx.Client, name: str, key: str) -> None:
        self.http, self.name, self.key = http, name, key

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def introspect(self, token: str, **form: str) -> dict[str, Any]:
        """Returns the state of a token."""
        response = self.post(data={"token": token, **form})
        assert response.status_code == 200, response.text
        state: dict[str, Any] = response.json()
        return state

    def introspect_all(self, tokens: list[str], **fields: Any) -> list[dict[str, Any]]:
        """Returns the states of tokens."""
        response = self.post(json={"tokens": tokens, **fields})
        assert response.status_code == 200, response.text
        results: list[dict[str, Any]] = response.json()["results"]
        return results

    def post(self, **options: Any) -> httpx.Response:
        headers = self.bearer | options.pop("headers", {})
        return self.http.post(PATH, headers=headers, **options)

    def status(self) -> int:
        """Returns the status of a request: 200 while the key is accepted."""
        return self.post(data={"token": "x"}).status_code


def make_backend(http: httpx.Client) -> Backend:
    """Makes a backend, whose key is accepted when this returns; needs Django."""
    name = f"backend-{uuid4().hex[:12]}"
    result = run_backends("make", name)
    assert result.returncode == 0, result.stderr
    backend = Backend(http, name, result.stdout.strip())
    wait_until(lambda: backend.status() == 200, timeout=30)
    return backend
