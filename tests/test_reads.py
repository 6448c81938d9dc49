"""The front door: what a read is answered with, and that every read is answered."""

import itertools
import socket
import sys
from collections.abc import Iterator

import httpx
import pytest

from local.machine import HOST, free_port
from local.processes import Process
from local.stack import Stack
from tests.someone import Rollcall, eventually

REQUEST_ID = "of-this-test-1"


@pytest.fixture(scope="module")
def old_door(stack: Stack) -> Iterator[str]:
    """The Django view, behind the server that it had."""
    port = free_port()
    argv = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    env = stack.environment()
    with Process("old", [*argv, "api.wsgi:application"], stack.data_dir / "logs/old.log", env=env):
        eventually(lambda: answers(port))
        yield f"http://{HOST}:{port}"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "get", "BREW"]
HEADERS: dict[str, dict[str, str]] = {
    "right": {"Authorization": "Bearer {token}"},
    "no token": {},
    "bad token": {"Authorization": "Bearer {token}A"},
    "another scheme": {"Authorization": "Basic YTpi"},
    "the current tag": {"Authorization": "Bearer {token}", "If-None-Match": "{etag}"},
    "the current tag, weak": {"Authorization": "bearer {token}", "If-None-Match": "W/{etag}"},
    "any tag": {"Authorization": "Bearer {token}", "If-None-Match": "*"},
    "many tags": {"Authorization": "Bearer {token}", "If-None-Match": '"a", {etag}'},
    "no tag": {"Authorization": "Bearer {token}", "If-None-Match": "{etag}x"},
    "a bad request id": {"X-Request-ID": "a b"},
}


PATHS = ["/api/v1/profile/", "/api/v1/profile", "/api/v1/%70rofile?x=%20", "/api/v1/profile//"]


@pytest.mark.parametrize("kind", HEADERS)
def test_both_doors_give_the_same_answer(rollcall: Rollcall, old_door: str, kind):
    someone = rollcall.sign_up()
    etag = someone.profile().headers["etag"]
    headers = {"X-Request-ID": REQUEST_ID}
    for name, value in HEADERS[kind].items():
        headers[name] = value.format(token=someone.token, etag=etag)
    with httpx.Client(base_url=old_door) as old_http:
        for method, path in itertools.product(METHODS, PATHS):
            doors = rollcall.http, old_http
            new, old = [whole(door.request(method, path, headers=headers)) for door in doors]
            assert new == old, (method, path)


def whole(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but what names the moment, the server and the request."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    request_id = headers.pop("x-request-id")
    if request_id != REQUEST_ID:
        assert len(request_id) == 32
    return answer.status_code, headers, answer.content.replace(request_id.encode(), b"")
