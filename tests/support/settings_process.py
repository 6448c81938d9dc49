"""Processes that load production settings, as a server does first.

Each is forked from one that has imported the modules that the settings import, which takes most of
the time; there are forty of them.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from local.stack import Stack

_MANAGE = """
from django.core.management import execute_from_command_line
for arguments in {}:
    try:
        execute_from_command_line(["manage.py", *arguments])
    except SystemExit as error:
        status = max(status, error.code)
"""
PRODUCTION_ENV = {
    "DJANGO_SETTINGS_MODULE": "settings.prod",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR",
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "QUEUE_URL": "redis://127.0.0.1:1/1",
    "ALLOWED_HOSTS": "rollcall.example",
    "PUBLIC_URL": "https://rollcall.example",
    "SENDGRID_API_KEY": "key",
    "EMAIL_FROM": "hello@rollcall.example",
    "VONAGE_API_KEY": "key",
    "VONAGE_API_SECRET": "secret",
    "SMS_FROM": "Rollcall",
    "SMS_COUNTRIES": "ES",
    "TRUSTED_PROXIES": "0",
}

# The forked process runs the code like a program: to its end, or to a traceback. It exits at once:
# to tear all modules down would take ten times as long.
# The settings are imported once before, and forgotten: what they import and the regular expressions
# that they compile, which take most of the time, are kept.
_FORK_SERVER = """
import gc, json, os, sys, traceback
import cryptography.hazmat.primitives.serialization, django.conf, django.core.exceptions, environs
import django.db.models, django.urls, huey.api  # for programs that set Django up
import limits, peewee, psycopg, redis.backoff, structlog
import api.cors, domain.model.address, domain.postgres.backend.peewee_database
import domain.projection.pools
import settings.prod
for name in [name for name in sys.modules if name.partition(".")[0] == "settings"]:
    del sys.modules[name]
gc.freeze()  # the memory stays shared
for line in sys.stdin:
    if not (pid := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
case = json.loads(line)
os.environ.clear()
os.environ.update(case["env"])
for descriptor in (1, 2):
    os.dup2(os.open(case["files"][descriptor - 1], os.O_WRONLY | os.O_CREAT), descriptor)
status = 0
try:
    exec(case["code"])
except Exception:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""


class SettingsProcess:
    """Starts such processes, one after the other; `folder` is for their output."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / "stdout", folder / "stderr"]

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _FORK_SERVER],
            env={"PATH": os.environ["PATH"]} | PRODUCTION_ENV,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.communicate(timeout=20)

    def __call__(
        self, code: str = "from django.conf import settings; settings.DEBUG", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Returns the result of a process with the production environment, changed by `env`."""
        return self._run(code, {"PATH": os.environ["PATH"]} | PRODUCTION_ENV | env, 60)

    def _run(
        self, code: str, env: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        for file in self._files:
            file.write_bytes(b"")
        case = {
            "code": code,
            "env": env,
            "files": [str(file) for file in self._files],
        }
        assert self._popen.stdin
        assert self._popen.stdout
        self._popen.stdin.write(json.dumps(case) + "\n")
        self._popen.stdin.flush()
        assert select.select([self._popen.stdout], [], [], timeout)[0], "it does not end"
        status = int(self._popen.stdout.readline())
        stdout, stderr = (file.read_text() for file in self._files)
        return subprocess.CompletedProcess([], status, stdout, stderr)

    def run(self, stack: Stack, code: str, status: int = 0, timeout: float = 60) -> str:
        """Runs a program in the environment of a service; returns what it prints."""
        result = self._run(code, stack.environment(), timeout)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    def manage(self, stack: Stack, *commands: Sequence[str], status: int = 0) -> str:
        """Runs commands of manage.py, each with its arguments, in the environment of a service;
        `status` is the highest of their exit statuses. Returns what they print.
        """
        return self.run(stack, _MANAGE.format([[*each] for each in commands]), status, timeout=3600)
