"""Looks for known vulnerabilities of what a lock file pins, with pip-audit:

    python -m local.audit requirements.lock [--vulnerability-service osv --osv-url URL]

Exit status: 1 if there are some, or if the lock file is malformed or has no hashes. It is 0, and a
line says so, if the advisory service cannot be reached: `make check` must work offline too.
"""

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0  # seconds in total
_READ_TIMEOUT = "10"  # seconds for each response
# What pip-audit ends with when its service fails: it translates only some errors of requests.
_SERVICE_ERROR = re.compile(r"requests\.exceptions\.\w+|Could not connect|ServiceError")


def main(lock: str, *options: str) -> int:
    """Prints the result and returns the exit status; `options` are further ones of pip-audit."""
    argv = [str(Path(sys.executable).parent / "pip-audit"), "--requirement", lock]
    argv += ["--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    argv += ["--timeout", _READ_TIMEOUT, "--format", "json", *options]
    # The system's authorities, where a company's own may be, and not only those of certifi.
    paths = ssl.get_default_verify_paths()
    env = {"REQUESTS_CA_BUNDLE": paths.cafile or paths.capath or "", **os.environ}
    try:
        audit = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT, env=env, check=False
        )
    except subprocess.TimeoutExpired:
        return _report_unavailable(f"no answer within {_TIMEOUT:g} seconds")
    if audit.stdout:
        return _report(lock, json.loads(audit.stdout)["dependencies"])
    if found := _SERVICE_ERROR.search(audit.stderr):
        return _report_unavailable(found[0])
    print(audit.stderr, file=sys.stderr)
    return 1


def _report(lock: str, packages: list[dict[str, Any]]) -> int:
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):  # a package index without advisories is in its place
        return _report_unavailable("it knows none of the packages")
    vulnerable = [package for package in packages if package.get("vulns")]
    for package in vulnerable:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    print(f"{lock}: {len(packages)} packages, {len(vulnerable)} vulnerable")
    if unknown:
        print(f"not audited, unknown to the advisory service: {', '.join(unknown)}")
    return 1 if vulnerable else 0


def _report_unavailable(reason: str) -> int:
    print(f"NOT AUDITED: the advisory service cannot be reached ({reason})")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
