"""The image, built from the Dockerfile, and containers of it: real ones, by podman and crun.

They need root, podman and debootstrap: no registry of images is asked. The base is Debian with its
Python, from debootstrap, in place of python:slim.
"""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.processes import Process

ROOT = Path(__file__).resolve().parents[2]
BASE, IMAGE = "localhost/rollcall-test-base:trixie", "localhost/rollcall:test"
BUILD_BASE = "localhost/rollcall-test-build-base:trixie"
_PROGRAMS = ("podman", "crun", "debootstrap")
_PACKAGES = "python3,python3-venv,ca-certificates"
_BUILD_PACKAGES = f"{_PACKAGES},gcc,libc6-dev,python3-dev"
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"  # pip may need this machine's own
# crun cannot work with both versions of control groups: those of version 2 are hidden from it.
_ONE_CGROUP_VERSION = 'umount -R -l /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
_PODMAN = ["unshare", "--mount", "sh", "-c", _ONE_CGROUP_VERSION, "sh", "podman"]
_SANDBOX = [
    "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--no-healthcheck",
    "--security-opt=no-new-privileges", "--pids-limit=256", "--memory=512m",
    "--ulimit=nofile=1024:4096", "--ulimit=nproc=4096:4096",  # podman's own are above root's here
]  # fmt: skip  # pairs of an option and its reason


def missing_requirement() -> str:
    """Returns what this machine lacks to build and run an image; empty if nothing."""
    missing = [name for name in _PROGRAMS if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} missing (on Debian: apt-get install {' '.join(missing)})"
    return "" if os.geteuid() == 0 else "only root can run debootstrap, and containers here"


def podman(*arguments: str, timeout: float = 600) -> str:
    """Runs podman; returns what it prints. Raises `CalledProcessError`, and shows its output."""
    result = subprocess.run(
        [*_PODMAN, *arguments], stdout=subprocess.PIPE, text=True, timeout=timeout
    )
    result.check_returncode()
    return result.stdout.strip()


def build_image(folder: Path) -> dict[str, Any]:
    """Builds the image, and the bases if they are not there; returns what podman says of it."""
    _make_base(BASE, _PACKAGES, folder)
    _make_base(BUILD_BASE, _BUILD_PACKAGES, folder)
    podman(
        "build", "--quiet", "--format=docker", "--isolation=chroot", "--network=host",
        f"--volume={_CERTIFICATES}", f"--build-arg=BASE={BASE}",
        f"--build-arg=BUILD_BASE={BUILD_BASE}", "--build-arg=REVISION=0123456",
        f"--tag={IMAGE}", str(ROOT),
    )  # fmt: skip  # pairs of an option and its value
    (description,) = json.loads(podman("image", "inspect", IMAGE))
    assert isinstance(description, dict)
    return description


def _make_base(name: str, packages: str, folder: Path) -> None:
    """Makes an image of Debian with these packages, unless it is there."""
    if subprocess.run([*_PODMAN, "image", "exists", name]).returncode == 0:
        return
    root = folder / "root"
    suite = ["--variant=minbase", f"--include={packages}", "trixie", str(root)]
    subprocess.run(["debootstrap", *suite], check=True, timeout=600, stdout=subprocess.DEVNULL)
    archive = folder / "root.tar"
    caches = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
    subprocess.run(["tar", "-C", root, *caches, "-cf", archive, "."], check=True, timeout=300)
    podman("import", "--quiet", str(archive), name)
    shutil.rmtree(root)
    archive.unlink()


@contextmanager
def container(
    name: str, command: Sequence[str], env: Mapping[str, str], log: Path, *volumes: str
) -> Iterator[Process]:
    """Runs a command in a container with a read-only root and no capability, as the image's user;
    yields the process of podman, which passes SIGTERM on and exits as the command does.
    """
    options = [f"--name=rollcall-test-{name}", *_SANDBOX]
    options += [f"--volume={each}" for each in volumes]
    options += [f"--env={variable}={value}" for variable, value in env.items()]
    argv = [*_PODMAN, "run", "--rm", *options, IMAGE, *command]
    try:
        with Process(name, argv, log) as process:
            yield process
    finally:
        podman("rm", "--force", "--ignore", f"rollcall-test-{name}")


def project_version() -> str:
    """Returns the version in pyproject.toml."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert isinstance(version, str)
    return version
