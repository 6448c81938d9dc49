"""The clients as packages: what is in them, and that their documentation works."""

import json
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from clients.generate import CLIENTS
from local.node import npm_command
from local.stack import Stack
from tests.clients.conftest import run

ROOT = CLIENTS.parent
URL = "http://127.0.0.1:8000"
PHONE = "+44 20 7946 0000"
# In place of a person who reads the codes and types them, first that of the e-mail.
PYTHON_INPUT = """
import os, time, httpx
urls = os.environ["MAILBOX"].split()
def input(prompt):
    while not (messages := httpx.get(urls[0]).json()):
        time.sleep(0.05)  # a mailbox over HTTP: there is no event to await
    del urls[0]
    return messages[0]["code"]
"""
TYPESCRIPT_INPUT = """
import { execFileSync } from "node:child_process";
const urls = process.env.MAILBOX.split(" ");
const poll = `for (;;) {
  const [message] = await (await fetch(process.argv[1])).json();
  if (message) { console.log(message.code); break; }
  await new Promise((resolve) => setTimeout(resolve, 50));
}`;
globalThis.prompt = () =>
  String(execFileSync(process.execPath, ["--input-type=module", "-e", poll, urls.shift()])).trim();
"""


def read_blocks(page: Path, language: str) -> str:
    """Returns the code of a page in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    return "\n".join(blocks)


def personalise(code: str, stack: Stack, number: str) -> str:
    """Returns the code with the address of the service, and addresses that are unused."""
    code = code.replace("ada@example.com", f"readme{number}@example.com")
    return code.replace(URL, stack.url).replace(PHONE, f"+34613{number}")


def mailbox(stack: Stack, number: str) -> str:
    """Returns the addresses of the two mailboxes of a person of the documentation."""
    url = f"{stack.url}/dev/mailbox.json?to="
    return f"{url}readme{number}@example.com {url}%2B34613{number}"


def test_clients_have_the_version_of_rollcall():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = tomllib.loads((CLIENTS / "python" / "pyproject.toml").read_text())["project"]
    typescript = json.loads((CLIENTS / "typescript" / "package.json").read_text())
    assert python["version"] == typescript["version"] == project["version"]
    pinned = [*typescript["dependencies"].values(), *typescript["devDependencies"].values()]
    assert all(re.fullmatch(r"[\d.]+", version) for version in pinned)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python package, built; its source archive is beside it."""
    folder = tmp_path_factory.mktemp("python")
    build = "import flit_core.buildapi as b; b.build_wheel({0!r}); b.build_sdist({0!r})"
    run(sys.executable, "-c", build.format(str(folder)), cwd=CLIENTS / "python")
    (path,) = folder.glob("rollcall_client-*.whl")
    return Path(path)


def test_python_package_has_types_and_needs_httpx_alone(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        assert "rollcall_client/py.typed" in archive.namelist()
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        needed = re.findall(r"^Requires-Dist: (\w+)", archive.read(metadata).decode(), re.MULTILINE)
    assert needed == ["httpx"]
    (source,) = wheel.parent.glob("rollcall_client-*.tar.gz")
    with tarfile.open(source) as archive_of_source:
        assert any(name.endswith("/README.md") for name in archive_of_source.getnames())


def test_documentation_of_the_python_client_works(
    stack: Stack, wheel: Path, number: str, tmp_path: Path
):
    code = read_blocks(CLIENTS / "python" / "README.md", "python")
    code += read_blocks(ROOT / "docs" / "clients.md", "python")
    script = tmp_path / "example.py"
    script.write_text(PYTHON_INPUT + personalise(code, stack, number))
    environment = {"PYTHONPATH": str(wheel), "MAILBOX": mailbox(stack, number)}
    output = run(sys.executable, str(script), cwd=tmp_path, env=environment)
    assert "email_verified=True, phone_verified=True" in output
    assert "sign in first" in output


def test_documentation_of_the_typescript_client_works(
    stack: Stack, node: str, built: Path, number: str, tmp_path: Path
):
    pack = ["pack", "--ignore-scripts", "--offline", "--pack-destination", str(tmp_path)]
    run(*npm_command(*pack), cwd=built)
    (package,) = tmp_path.glob("*.tgz")
    modules = tmp_path / "node_modules"
    with tarfile.open(package) as archive:
        names = archive.getnames()
        archive.extractall(modules / "@rollcall", filter="data")
    assert "package/dist/src/index.d.ts" in names
    assert not any("/test/" in name for name in names)
    (modules / "@rollcall" / "package").rename(modules / "@rollcall" / "client")
    for name in ("openapi-fetch", "openapi-typescript-helpers"):
        (modules / name).symlink_to(CLIENTS / "typescript" / "node_modules" / name)
    code = read_blocks(CLIENTS / "typescript" / "README.md", "ts")
    script = tmp_path / "example.mjs"
    script.write_text(TYPESCRIPT_INPUT + personalise(code, stack, number))
    environment = {"MAILBOX": mailbox(stack, number)}
    output = run(node, str(script), cwd=tmp_path, env=environment)
    assert "phone_verified: true" in output
