"""A stack with what the tests' own has off: Huey's dashboard, and traces."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.support.fake_provider import FakeProvider
from tests.support.stacks import extra_stack


@pytest.fixture(scope="session")
def collector() -> Iterator[FakeProvider]:
    """A stand-in for an OpenTelemetry collector."""
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="session")
def recorded_stack(
    collector: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A separate stack: both are configured when the processes start."""
    env = {
        "HUEY_DASHBOARD": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with extra_stack(tmp_path_factory.mktemp("recorded"), **env) as running:
        yield running
