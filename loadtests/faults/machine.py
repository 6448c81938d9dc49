"""A machine of its own for servers, as far as Linux allows it: a network that can be cut (network
namespaces), a disk that can be full (tmpfs), and a clock that is wrong (libfaketime).
"""

import functools
import itertools
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self, override

from local.processes import Process, StackError
from local.servers import Server, Valkey

CLOCK, ISOLATION = "clock", "network cut, disk full"
_numbers = itertools.count()
_DISKS = {"profiles": "64m", "postgres": "600m"}  # by server; the memory is used as needed


class Namespace:
    """A network namespace, connected by a virtual cable."""

    def __init__(self) -> None:
        number = os.getpid() % 20_000 * 2 + next(_numbers) % 2
        self._name = f"rollcall-{number}"
        network = f"10.213.{number // 256 % 256}"
        self._outer, self.address = f"{network}.1", f"{network}.2"
        self._cable = f"rc{number}a", f"rc{number}b"

    def __enter__(self) -> Self:
        outer, inner = self._cable
        with ExitStack() as stack:
            _run("ip", "netns", "add", self._name)
            stack.callback(self.__exit__)
            _run("ip", "link", "add", outer, "type", "veth", "peer", inner, "netns", self._name)
            _run("ip", "address", "add", f"{self._outer}/24", "dev", outer)
            _run("ip", "-n", self._name, "address", "add", f"{self.address}/24", "dev", inner)
            _run("ip", "link", "set", outer, "up")
            self.set_connected(True)
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        _run("ip", "netns", "delete", self._name)

    @property
    def prefix(self) -> list[str]:
        """What a command in this namespace begins with."""
        return ["ip", "netns", "exec", self._name]

    def set_connected(self, connected: bool) -> None:
        """Cuts the cable, or repairs it: packets are dropped without notice."""
        _run("ip", "-n", self._name, "link", "set", self._cable[1], "up" if connected else "down")


class RemoteValkey(Valkey):
    """A server in a network namespace."""

    def __init__(self, data_dir: Path, namespace: Namespace) -> None:
        options = {"bind": namespace.address, "protected-mode": "no"}
        super().__init__(data_dir, "profiles", options, reads_first=True)
        self._namespace = namespace

    @property
    @override
    def url(self) -> str:
        return f"redis://{self._namespace.address}:{self.port}/0"

    @override
    def prepare(self) -> None:
        super().prepare()
        self.argv = [*self._namespace.prefix, *self.argv]

    @override
    def is_ready(self) -> bool:
        try:
            with socket.create_connection((self._namespace.address, self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class Machine:
    """What a service in `folder` runs on: disks of Postgres and the profile Redis, a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entered = ExitStack()
        self.parts: dict[str, Server] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if ISOLATION not in skipped():
                for name, size in _DISKS.items():
                    disk = self.disk(name)
                    disk.mkdir(parents=True)
                    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk))
                    stack.callback(_run, "umount", "--lazy", str(disk))
                self.network = stack.enter_context(Namespace())
                redis = RemoteValkey(self._folder / "data", self.network)
                self.parts = {redis.name: stack.enter_context(redis)}
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of a service that uses it."""
        redis = self.parts.get("profiles")
        return {"REDIS_URL": redis.url} if redis else {}

    def disk(self, name: str) -> Path:
        """Returns the folder of a server's disk."""
        return self._folder / "data" / name

    def fill_disk(self, name: str) -> None:
        """Leaves no byte free."""
        with suppress(OSError), (self.disk(name) / "ballast").open("wb", buffering=0) as file:
            while file.write(b"0" * 4096):
                pass

    def free_disk(self, name: str) -> None:
        """Ends `fill_disk`."""
        (self.disk(name) / "ballast").unlink(missing_ok=True)


def set_clock(process: Process, offset: str) -> None:
    """Lets a process, from its next start on, have a clock that is off, such as by "+1h"; "" ends
    that. The monotonic clock is right.
    """
    names = ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC")
    env = {name: value for name, value in (process.env or os.environ).items() if name not in names}
    if offset:
        env |= dict(zip(names, (libfaketime(), offset, "1"), strict=True))
    process.env = env


def libfaketime() -> str:
    """Returns the path of libfaketime; empty if it is not installed."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "")


@functools.cache
def skipped() -> Mapping[str, str]:
    """Returns which faults this machine cannot have, and why."""
    reasons = {"slow disk": "needs a device whose speed can be set (dm-delay)"}
    if not libfaketime():
        reasons[CLOCK] = "libfaketime is not installed (Debian: apt-get install faketime)"
    try:
        with Namespace():
            pass
    except (StackError, OSError) as error:
        reasons[ISOLATION] = f"only root may: {error}"
    return reasons


def _run(*argv: str) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    if result.returncode:
        raise StackError(f"{' '.join(argv)}: {result.stderr.strip()}")
