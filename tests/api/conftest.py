"""Fixtures of generated requests."""

from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.support.admin_client import admin_session
from tests.support.backends import make_backend
from tests.support.client import read_process, socket_path, write_process
from tests.support.recorded_service import RecordedService
from tests.support.write_recorder import record_writes


@pytest.fixture(scope="package")
def service(stack: Stack, django_setup: None) -> Iterator[RecordedService]:
    """A service whose writes are recorded."""
    env = stack.environment()
    with (
        record_writes(env["DATABASE_URL"], env["REDIS_URL"]) as recorder,
        write_process(stack, **recorder.env) as (_, write_url),
        read_process(stack, WRITE_UPSTREAM=f"unix:{socket_path(write_url)}") as (_, url),
        admin_session(stack) as staff,
    ):
        with httpx.Client(base_url=url) as http:
            key = make_backend(http).key
        service = RecordedService(url, recorder, staff.cookies["sessionid"], key)
        yield service
        service.disconnect()
        service.http.close()
