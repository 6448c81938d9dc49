"""One service with a webhook for all tests of events."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from local.stack import Stack
from tests.support.events import EventService, event_service


# Its relays are relays of the stack, which other tests stop.
@pytest.fixture(scope="package")
def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventService]:
    with event_service(stack) as running:
        yield running


@pytest.fixture
def writes_events(django_db_access: None) -> Iterator[None]:
    """Commands in the test's own process write events."""
    with override_settings(EVENT_WEBHOOK_URL="https://receiver.example/"):
        yield
