"""Fixtures: one real stack for all tests, with Postgres, two Valkeys and all processes."""

import functools
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import django
import httpx
import pytest
from django.db import connections

from local.stack import Stack
from settings.catalogues import compile_catalogues
from tests.support import webhook_signatures
from tests.support.chromium import CHROMEDRIVER, CHROMIUM
from tests.support.client import ApiClient
from tests.support.leak_scan import find_leaks
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import data_template, make_stack

# Each client of httpx loads all certificate authorities, which takes 30 ms of CPU.
ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]  # a wrapper
LONG = bool(os.environ.get("LONG"))
# The tests use the CPU too, and wait for writes.
os.environ.setdefault("WRITE_NICE", "5")
collect_ignore = [] if CHROMIUM and CHROMEDRIVER else ["api/pages/test_browser.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Provides the data that all stacks start from, for the processes of pytest-xdist too."""
    compile_catalogues()
    if not hasattr(config, "workerinput"):
        with ExitStack() as stack:
            stack.enter_context(data_template())
            config.add_cleanup(stack.pop_all().close)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports which tests were left out, and the counts of those that record a `summary`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(str(value))
    if collect_ignore:
        terminalreporter.write_line(
            "LEFT OUT: tests/api/pages/test_browser.py, which needs Chromium and its chromedriver"
            " on the PATH (on Debian: apt-get install chromium chromium-driver)",
            yellow=True,
        )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole service on free ports. A test that stops a service restarts it."""
    folder: Path = tmp_path_factory.mktemp("stack")
    env = {"SMS_DOMAIN": "rollcall.example", **webhook_signatures.ENV}
    if not LONG:
        # Seconds until the messages of a killed worker are sent; 20 by default.
        env["OUTBOX_LEASE_SECONDS"] = "2"
    with make_stack(folder, env) as running:
        yield running
        assert find_leaks(running) == [], (
            "after all tests nobody's data stands in a log or the queue"
        )


@pytest.fixture(scope="session")
def django_setup(stack: Stack) -> None:
    # The settings read the environment once. It is restored, because other stacks inherit it.
    assert "settings.environment" not in sys.modules, "a test has imported the settings too early"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        django.setup()


@pytest.fixture
def django_db_access(django_setup: None) -> Iterator[None]:
    """Django in the test's own process, on the stack's databases."""
    connections.close_all()  # a fixture may have stopped Postgres since one was opened
    yield
    connections.close_all()


@pytest.fixture
def api(stack: Stack) -> Iterator[ApiClient]:
    """A client of the running service."""
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield ApiClient(client)


@pytest.fixture(scope="session")
def load_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SettingsProcess]:
    """Loads production settings in a process; see `tests.support.settings_process`."""
    with SettingsProcess(tmp_path_factory.mktemp("start")) as process:
        yield process


@pytest.fixture(scope="session")
def scale() -> int:
    """The factor for counts that take long: 10 with LONG=1, else 1."""
    return 10 if LONG else 1
