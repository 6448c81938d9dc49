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
_STAFF_PASSWORD = "staff-password"


@contextmanager
def data_template() -> Iterator[None]:
    """Has all stacks of this test run, also in other processes, start from one copy of prepared
    data, which the first of them makes: `initdb` and the migrations take 3 s of CPU.
    """
    with tempfile.TemporaryDirectory(prefix="rollcall-tests-") as folder:
        os.environ[_TEMPLATE] = folder
        yield
        del os.environ[_TEMPLATE]


def make_stack(
    data_dir: Path, env: dict[str, str], workers: int = 2, *, migrated: bool = False
) -> Stack:
    """Returns a service, on servers of its own unless `env` names others.

    `env` is added to its environment; `workers` is the number of its read processes, and of its
    write processes; `migrated`: a Postgres that `env` names has the prepared data.
    """
    has_own = not env.get("DATABASE_URL")

    def commands(port: int, write_bind: str) -> Commands:
        made = rollcall_commands(port, write_bind, workers)
        return made._replace(setup=["true"]) if has_own or migrated else made

    if has_own:
        copy_template(data_dir)
    elif migrated:
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(os.environ[_TEMPLATE]) / _STAFF_PASSWORD, data_dir)
    return Stack(data_dir, env=SETTINGS | env, durable=False, commands=commands)


@contextmanager
def extra_stack(data_dir: Path, **env: str) -> Iterator[Stack]:
    """Runs a service with servers of its own and one process of each kind; `env` adds to its
    environment. It is killed at the end, which is faster than to stop it.
    """
    with migrated_stack(data_dir, env, migrated=False) as stack:
        yield stack


@contextmanager
def migrated_stack(
    data_dir: Path, env: dict[str, str], *, migrated: bool = True
) -> Iterator[Stack]:
    """Runs a service as `extra_stack` does; `migrated` as for `make_stack`."""
    env = {"OUTBOX_LEASE_SECONDS": "2", **env}
    with make_stack(data_dir, env, workers=1, migrated=migrated) as stack:
        yield stack
        stack.force_stop()


def copy_template(data_dir: Path, postgres: str = "postgres") -> None:
    """Copies the prepared data to the folder of a service that has not been started yet; `postgres`
    is the name of its server.
    """
    template = Path(os.environ[_TEMPLATE])
    with (template / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (template / "done").exists():
            _make_template(template)
            (template / "done").touch()
    (data_dir / postgres).mkdir(mode=0o700, parents=True)
    shutil.copytree(template / "postgres" / "cluster", data_dir / postgres / "cluster")
    shutil.copy(template / "postgres" / "password", data_dir / postgres)
    shutil.copy(template / _STAFF_PASSWORD, data_dir)


def _make_template(folder: Path) -> None:
    """Makes a database with all migrations and a staff user, as `make run` does."""
    stack = Stack(folder, env=SETTINGS, durable=False)
    postgres = stack.services["postgres"]
    assert isinstance(postgres, Postgres)
    with postgres:
        stack._make_process("setup", stack._commands.setup).run(timeout=120)
