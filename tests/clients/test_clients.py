"""Both clients do the same with a running service, and are what the OpenAPI document generates."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.document import select_for_clients
from clients.generate import CLIENTS, generate_python, generate_typescript
from local.stack import Stack
from rollcall_client import Backend, Rollcall, operations
from rollcall_client.operation import Operation
from tests.clients.conftest import run
from tests.clients.faulty_proxy import FaultyProxy, faulty_proxy
from tests.clients.story import STEPS, Story, step_name
from tests.support.backends import make_backend
from tests.support.client import ApiClient, wait_until


@pytest.fixture
def proxy(stack: Stack) -> Iterator[FaultyProxy]:
    with faulty_proxy(stack.url) as running:
        yield running


@pytest.fixture
def backend_key(api: ApiClient, django_db_access: None) -> str:
    return make_backend(api.http).key


def count_people(email: str) -> int:
    """Returns how many have signed up with an address; needs Django."""
    from domain.postgres.models import Person

    return Person.objects.filter(email=email).count()


@pytest.fixture(scope="session")
def document(stack: Stack) -> dict[str, Any]:
    """What of the service's OpenAPI document is for clients."""
    # The first one takes the service seconds, on a busy machine longer than a request may.
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        wait_until(lambda: http.get("/api/v1/schema/").is_success)
        return select_for_clients(http.get("/api/v1/schema/").json())


def assert_committed(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        generated, committed = (folder / path).read_text(), (CLIENTS / path).read_text()
        assert committed == generated, f"{path}: run `make clients`"


def test_generated_python_is_what_the_document_generates(document: dict[str, Any], tmp_path: Path):
    assert_committed(tmp_path, generate_python(tmp_path, document))


def test_generated_typescript_is_what_the_document_generates(
    document: dict[str, Any], node: str, tmp_path: Path
):
    assert_committed(tmp_path, generate_typescript(tmp_path, document))


def test_both_clients_have_a_method_for_each_operation():
    typescript = "".join(
        (CLIENTS / "typescript" / "src" / name).read_text() for name in ("backend.ts", "client.ts")
    )
    for name, operation in vars(operations).items():
        if isinstance(operation, Operation):
            method = name.lower().removesuffix("_token")
            assert hasattr(Rollcall, method) or hasattr(Backend, method), method
            assert f'#api.{operation.method}("{operation.path}"' in typescript, method


@pytest.mark.parametrize("synchronous", [False, True], ids=["asynchronous", "synchronous"])
def test_the_python_client_passes_the_story(
    proxy: FaultyProxy, number: str, backend_key: str, synchronous: bool
):
    story = Story(proxy.url, number, backend_key, synchronous=synchronous)
    assert asyncio.run(story.run()) == [step_name(each) for each in STEPS]
    assert count_people(f"lost{number}@example.com") == 1


def test_the_typescript_client_passes_the_story(
    proxy: FaultyProxy, number: str, backend_key: str, node: str, built: Path
):
    output = run(node, "dist/test/story.js", proxy.url, number, backend_key, cwd=built)
    assert output.splitlines() == [step_name(each) for each in STEPS]
    assert count_people(f"lost{number}@example.com") == 1


def test_the_typescript_client_works_with_the_session_cookie_of_a_browser(
    proxy: FaultyProxy, number: str, node: str, built: Path
):
    assert run(node, "dist/test/cookie.js", proxy.url, number, cwd=built) == "done\n"
