"""The compiled read process (`deploy/native.py`) behaves as the interpreted one: its tests pass."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import native
from tests.conftest import LONG

ROOT = Path(__file__).resolve().parents[2]
READS = "tests/api/reads"
TESTS = [
    ["tests/api/http_server"],
    [f"{READS}/test_{name}.py" for name in ("app", "introspection", "profile", "proxy")],
    # Apart: these import the settings before a service has set its environment.
    [
        f"{READS}/redis",
        *(f"{READS}/test_{name}.py" for name in ("batch_introspection", "client_cache")),
        f"{READS}/test_redis_faults.py",
    ],
]
# Beside the product: what its tests need.
BESIDE = ("deploy", "loadtests", "local", "pyproject.toml", "tests")
MODULES = "api.reads.profile", "api.http_server.connection", "domain.profile"
SHOW = "import sys; import {0}; print(sys.modules['{0}'].__file__)"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled copy of the repository."""
    if not LONG:
        pytest.skip("compiled with LONG=1: it takes a minute of CPU")
    if missing := native.missing_requirement():
        pytest.skip(missing)
    folder: Path = tmp_path_factory.mktemp("native") / "tree"
    shutil.copytree(native.compiled_copy(), folder)
    for name in BESIDE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [str(tree / ".venv/bin/python"), *arguments]
    env = {name: value for name, value in os.environ.items() if name != "LONG"}
    return subprocess.run(argv, cwd=tree, env=env, text=True, capture_output=True, timeout=1200)


def test_checkout_is_never_compiled():
    """A library beside a source would hide what is edited there."""
    assert [path for name in native.PRODUCT for path in (ROOT / name).rglob("*.so")] == []


@pytest.mark.parametrize("module", MODULES)
def test_hot_modules_are_compiled(tree: Path, module: str):
    env = "import os; os.environ.update(DJANGO_SETTINGS_MODULE='settings.dev'); "
    result = run(tree, "-c", env + SHOW.format(module))
    assert result.stdout.strip().endswith(".so"), result.stderr


@pytest.mark.parametrize("tests", TESTS, ids=["http_server", "served", "in-process"])
def test_tests_of_the_read_process_pass_on_the_compiled_one(tree: Path, tests: list[str]):
    result = run(tree, "-m", "pytest", "-q", "-n", "0", *tests)
    assert result.returncode == 0, result.stdout[-4000:]
