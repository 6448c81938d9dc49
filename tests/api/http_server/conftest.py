"""Read processes for tests of hostile clients."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.support.hostile_scripts import DEADLINES, LIMITS
from tests.support.read_server import ReadServer


@pytest.fixture(scope="package")
def server(stack: Stack) -> Iterator[ReadServer]:
    """A read process with short deadlines and low limits."""
    with ReadServer(stack, **DEADLINES, **LIMITS) as running:
        yield running


@pytest.fixture(scope="package")
def lone_server(stack: Stack) -> Iterator[ReadServer]:
    """A read process whose write process does not exist."""
    with ReadServer(stack, **DEADLINES, WRITE_UPSTREAM="unix:/nonexistent/write.sock") as running:
        yield running


@pytest.fixture(scope="package")
def narrow_server(stack: Stack) -> Iterator[ReadServer]:
    """A read process that admits two requests to the write process: one in flight, one waiting."""
    limits = {"WRITE_MAX_CONCURRENCY": "1", "WRITE_MAX_WAITING": "1"}
    with ReadServer(stack, **DEADLINES, **limits) as running:
        yield running
