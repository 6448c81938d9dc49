"""Whole services of a test's own, next to the one that all tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from local.commands import rollcall_commands
from local.stack import Stack


@contextmanager
def extra_stack(data_dir: Path, **env: str) -> Iterator[Stack]:
    """Runs a service with servers of its own and one process of each kind; `env` adds to its
    environment. It is killed at the end, which is faster than to stop it.
    """
    env = {"DJANGO_SETTINGS_MODULE": "settings.test", "OUTBOX_LEASE_SECONDS": "2", **env}
    commands = partial(rollcall_commands, workers=1)
    with Stack(data_dir, env=env, durable=False, commands=commands) as stack:
        yield stack
        stack.force_stop()
