"""Both clients do the same with a running service, and are what the OpenAPI document generates."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.generate import CLIENTS, GENERATED, generate
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


def test_generated_code_is_what_the_document_generates(api: ApiClient, node: str, tmp_path: Path):
    # The first one takes the service seconds, on a busy machine longer than a request may.
    wait_until(lambda: api.http.get("/api/v1/schema/").is_success)
    generate(tmp_path, api.http.get("/api/v1/schema/").json())
    for path in GENERATED.values():
        expected, committed = (tmp_path / path).read_text(), (CLIENTS / path).read_text()
        assert committed == expected, f"{path}: run `make clients`"


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
