"""One service with a webhook for all tests of events."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.support.events import EventService, event_service


@pytest.fixture(scope="session")
def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventService]:
    with event_service(stack) as running:
        yield running
