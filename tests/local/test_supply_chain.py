"""The audit of what is pinned, and the software bill of materials (SBOM)."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from local import audit
from tests.conftest import LONG

ROOT = Path(__file__).parents[2]
LONG_ONLY = pytest.mark.skipif(not LONG, reason="LONG=1: each program takes seconds")
LOCK = (
    "idna==3.10 \\\n    --hash=sha256:"
    + "0" * 64
    + "\nsix==1.17.0 --hash=sha256:"
    + "1" * 64
    + "\n"
)
ADVISORY = {
    "id": "PYSEC-2099-1",
    "summary": "It does what it should not.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.11"}]}],
        }
    ],
}


class AdvisoryService(BaseHTTPRequestHandler):
    """OSV's API: an advisory for each package that the server's `advisories` have."""

    def do_POST(self) -> None:  # http.server calls it so
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server: Any = self.server
        if server.hangs.is_set():
            server.released.wait(30)
        vulns = server.advisories.get(query["package"]["name"])
        body = json.dumps({"vulns": vulns} if vulns else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Any]:
    with HTTPServer(("127.0.0.1", 0), AdvisoryService) as server:
        server.advisories = {}  # type: ignore[attr-defined]  # read by the handler
        server.hangs, server.released = threading.Event(), threading.Event()  # type: ignore[attr-defined]  # the same
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.released.set()  # type: ignore[attr-defined]  # the same
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    return lock


def run_audit(lock: Path, port: int) -> int:
    url = f"http://127.0.0.1:{port}/v1/query"
    cache = str(lock.parent / "cache")
    options = ("--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", cache)
    return audit.main(str(lock), *options)


def test_audit_fails_and_names_a_vulnerability(service, lock: Path, capsys):
    service.advisories["idna"] = [ADVISORY]
    assert run_audit(lock, service.server_port) == 1
    output = capsys.readouterr().out
    assert "idna 3.10: PYSEC-2099-1, fixed in 3.11" in output
    assert "2 packages, 1 vulnerable" in output


def test_audit_passes_without_a_vulnerability(service, lock: Path, capsys):
    assert run_audit(lock, service.server_port) == 0
    assert "2 packages, 0 vulnerable" in capsys.readouterr().out


def test_audit_without_a_network_says_so_and_passes(lock: Path, capsys):
    assert run_audit(lock, 1) == 0
    assert "NOT AUDITED: the advisory service cannot be reached" in capsys.readouterr().out


@LONG_ONLY
def test_audit_by_a_service_that_hangs_says_so_and_passes(service, lock, capsys, monkeypatch):
    service.hangs.set()
    monkeypatch.setattr(audit, "_TIMEOUT", 2.0)
    assert run_audit(lock, service.server_port) == 0
    assert "no answer within 2 seconds" in capsys.readouterr().out


@LONG_ONLY
def test_audit_of_a_lock_without_hashes_fails(service, lock: Path):
    lock.write_text("idna==3.10\n")
    assert run_audit(lock, service.server_port) == 1


@pytest.mark.parametrize(
    "name", ["requirements", "requirements-dev", "requirements-bench", "requirements-docs"]
)
def test_every_pinned_package_has_hashes(name):
    blocks = re.split(r"\n(?=\S)", (ROOT / f"{name}.lock").read_text().strip())
    pinned = [block for block in blocks if not block.startswith("#")]
    assert pinned
    for block in pinned:
        assert re.match(r"[\w.\[\],-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


def make_sbom(file: Path) -> bytes:
    argv = ["make", "-s", "sbom", f"SBOM={file}", "-o", ".venv/.installed"]
    argv.append(f"PYTHON={sys.executable}")
    subprocess.run(argv, cwd=ROOT, check=True, timeout=120)
    return file.read_bytes()


def test_sbom_names_every_pinned_package(tmp_path: Path):
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", lock, re.MULTILINE))
    document = json.loads(make_sbom(tmp_path / "sbom.json"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert {(each["name"], each["version"]) for each in document["components"]} == pinned
    assert document["metadata"]["component"]["name"] == "rollcall"


@LONG_ONLY
def test_sbom_is_reproducible(tmp_path: Path):
    assert make_sbom(tmp_path / "1.json") == make_sbom(tmp_path / "2.json")
