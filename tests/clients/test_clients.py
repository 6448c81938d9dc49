"""Both clients do the same with a running service, and are what the OpenAPI document generates."""

import asyncio
import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.generate import CLIENTS, GENERATED, generate
from local.node import find_node, install_npm_packages, npm_program_command
from local.processes import StackError
from local.stack import Stack
from tests.clients.faulty_proxy import FaultyProxy, faulty_proxy
from tests.clients.story import STEPS, Story, step_name
from tests.support.backends import make_backend
from tests.support.client import ApiClient, wait_until

TYPESCRIPT = CLIENTS / "typescript"
_numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000)


@pytest.fixture
def proxy(stack: Stack) -> Iterator[FaultyProxy]:
    with faulty_proxy(stack.url) as running:
        yield running


@pytest.fixture
def number() -> str:
    """Six digits that no other person's address has."""
    return f"{next(_numbers) % 1_000_000:06}"


@pytest.fixture
def backend_key(api: ApiClient, django_db_access: None) -> str:
    return make_backend(api.http).key


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of the TypeScript client."""
    try:
        path = find_node()
    except StackError as error:
        pytest.skip(str(error))
    install_npm_packages(TYPESCRIPT)
    return str(path)


@pytest.fixture(scope="session")
def built(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TypeScript client and its story, compiled."""
    folder: Path = tmp_path_factory.mktemp("typescript")
    run(*npm_program_command(TYPESCRIPT, "tsc", "--outDir", str(folder)), cwd=TYPESCRIPT)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    return folder


def run(*argv: str, cwd: Path | None = None) -> str:
    process = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_generated_code_is_what_the_document_generates(api: ApiClient, node: str, tmp_path: Path):
    # The first one takes the service seconds, on a busy machine longer than a request may.
    wait_until(lambda: api.http.get("/api/v1/schema/").is_success)
    generate(tmp_path, api.http.get("/api/v1/schema/").json())
    for path in GENERATED.values():
        expected, committed = (tmp_path / path).read_text(), (CLIENTS / path).read_text()
        assert committed == expected, f"{path}: run `make clients`"


@pytest.mark.parametrize("synchronous", [False, True], ids=["asynchronous", "synchronous"])
def test_the_python_client_passes_the_story(
    proxy: FaultyProxy, number: str, backend_key: str, synchronous: bool
):
    story = Story(proxy.url, number, backend_key, synchronous=synchronous)
    assert asyncio.run(story.run()) == [step_name(each) for each in STEPS]


def test_the_typescript_client_passes_the_story(
    proxy: FaultyProxy, number: str, backend_key: str, node: str, built: Path
):
    output = run(node, str(built / "test" / "story.js"), proxy.url, number, backend_key)
    assert output.splitlines() == [step_name(each) for each in STEPS]


def test_the_typescript_client_works_with_the_session_cookie_of_a_browser(
    proxy: FaultyProxy, number: str, node: str, built: Path
):
    assert run(node, str(built / "test" / "cookie.js"), proxy.url, number) == "done\n"
