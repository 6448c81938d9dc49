"""Logs of the write process."""

import json

import httpx

from local.stack import Stack
from tests.support.client import wait_until


def test_failed_request_is_logged_with_its_request_id(stack: Stack) -> None:
    """A profile read that is routed to the write process fails there."""
    log = stack.data_dir / "logs" / "write.log"
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(stack.data_dir / "write.sock"))
    ) as http:
        response = http.get("http://127.0.0.1/api/v1/profile/")
    request_id = response.headers["x-request-id"]
    assert (response.status_code, response.json()["request_id"]) == (503, request_id)
    wait_until(lambda: f'"{request_id}"' in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
    assert "request_failed" in [line["event"] for line in lines]
