"""Whole services of the tests: the one that most of them share, and those of a test's own."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.commands import Commands, rollcall_commands
from local.postgres import Postgres
from local.stack import Stack

SETTINGS = {"DJANGO_SETTINGS_MODULE": "settings.test"}
_TEMPLATE = "TEST_DATA_TEMPLATE"  # the variable with the path of the prepared data folder
_TEMPLATE_FILES = ("postgres/password", "staff-password")


@contextmanager
def data_template() -> Iterator[None]:
    """Has all stacks of this test run, also in other processes, start from one copy of prepared
    data, which the first of them makes: `initdb` and the migrations take 3 s of CPU.
    """
    with tempfile.TemporaryDirectory(prefix="rollcall-tests-") as folder:
        os.environ[_TEMPLATE] = folder
        yield
        del os.environ[_TEMPLATE]


def make_stack(data_dir: Path, env: dict[str, str], workers: int = 2) -> Stack:
    """Returns a service, on servers of its own unless `env` names others.

    `env` is added to its environment; `workers` is the number of its read processes, and of its
    write processes.
    """

    def commands(port: int, write_bind: str) -> Commands:
        made = rollcall_commands(port, write_bind, workers)
        return made if env.get("DATABASE_URL") else made._replace(setup=["true"])

    if not env.get("DATABASE_URL"):
        copy_template(data_dir)
    return Stack(data_dir, env=SETTINGS | env, durable=False, commands=commands)


@contextmanager
def extra_stack(data_dir: Path, **env: str) -> Iterator[Stack]:
    """Runs a service with servers of its own and one process of each kind; `env` adds to its
    environment. It is killed at the end, which is faster than to stop it.
    """
    with make_stack(data_dir, {"OUTBOX_LEASE_SECONDS": "2", **env}, workers=1) as stack:
        yield stack
        stack.force_stop()


def copy_template(data_dir: Path) -> None:
    """Copies the prepared data to the folder of a service that has not been started yet."""
    template = Path(os.environ[_TEMPLATE])
    with (template / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (template / "done").exists():
            _make_template(template)
            (template / "done").touch()
    (data_dir / "postgres").mkdir(mode=0o700, parents=True)
    shutil.copytree(template / "postgres" / "cluster", data_dir / "postgres" / "cluster")
    for name in _TEMPLATE_FILES:
        shutil.copy(template / name, data_dir / name)


def _make_template(folder: Path) -> None:
    """Makes a database with all migrations and a staff user, as `make run` does."""
    stack = Stack(folder, env=SETTINGS, durable=False)
    postgres = stack.services["postgres"]
    assert isinstance(postgres, Postgres)
    with postgres:
        stack._make_process("setup", stack._commands.setup).run(timeout=120)
