"""What a newcomer meets: the greeting of `make run`, and the reload of `make dev`."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.greeting import ensure_sample_person
from local.stack import Stack
from tests.local.test_supervisor import SupervisorProcess, assert_processes_end, stub_commands
from tests.support.client import sign_up_payload, wait_until
from tests.support.stacks import copy_template

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "domain", "local", "settings", "workers")


class Dev(SupervisorProcess):
    """`make dev` in a copy of the source tree, which tests may change; `greeting` is its output
    from the second line on.
    """

    greeting = ""

    def read_greeting(self) -> None:
        self.wait_until_ready()
        assert self.popen.stdout
        while "Ctrl-C" not in self.greeting:
            self.greeting += self.popen.stdout.readline().decode()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("dev") / "a tree"  # people have blanks in their paths
    tree.mkdir()
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package)  # with __pycache__, which is still valid
    shutil.copy(ROOT / "manage.py", tree)
    return tree


@pytest.fixture(scope="module")
def dev(tree: Path) -> Iterator[Dev]:
    copy_template(tree / "data")  # initdb takes a while
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        patch.setenv("DEBUG", "1")
        dev = Dev(tree, "-m", "local", "--reload", servers=True)
    with dev:
        dev.read_greeting()
        yield dev


def url(dev: Dev, path: str) -> str:
    return f"http://127.0.0.1:{dev.port}{path}"


def run_command(command: str) -> str:
    return subprocess.run(
        ["sh", "-c", command], check=True, capture_output=True, text=True, timeout=30
    ).stdout


def read_mailbox(dev: Dev, to: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = httpx.get(url(dev, f"/dev/mailbox.json?to={to}")).json()
    return messages


def test_commands_of_the_greeting_work(dev: Dev, tree: Path) -> None:
    commands = re.findall(r"^  (curl .*?(?:\\\n.*)?)$", dev.greeting, re.MULTILINE)
    assert len(commands) == 3
    wait_until(lambda: read_mailbox(dev, "grace@example.com"))
    profile, change, mailbox = map(run_command, commands)
    assert profile.startswith("HTTP/1.1 200 OK")
    assert '"hobbies":["compilers","sailing"]' in change
    assert '"to":"grace@example.com"' in mailbox


def test_commands_of_manage_py_run_on_the_service(dev: Dev, tree: Path) -> None:
    file = tree / "data" / "environment"
    assert file.stat().st_mode & 0o777 == 0o600
    script = f'. "{file}" && "{sys.executable}" manage.py backends make shop'
    result = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.startswith("rollcall_bk_"), result.stderr


def test_greeting_says_what_runs_where_and_its_links_work(dev: Dev, tree: Path) -> None:
    rows = dict(re.findall(r"^(\w+) +\d+  (\S+)", dev.greeting, re.MULTILINE))
    assert rows.keys() == {"read", "write", "worker", "relay", "postgres", "profiles", "queue"}
    assert rows["read"] == url(dev, "")
    assert f"Data is in {tree}/data" in dev.greeting
    for link in re.findall(rf"^  ({url(dev, '')}\S+)  ", dev.greeting, re.MULTILINE):
        assert httpx.get(link, follow_redirects=True).status_code == 200, link


def test_token_of_the_sample_person_is_in_a_private_file_only(dev: Dev, tree: Path) -> None:
    file = tree / "data" / "sample-person"
    assert file.stat().st_mode & 0o777 == 0o600
    token = file.read_text().split()[-1]
    assert token not in dev.greeting
    assert not any(token in log.read_text() for log in (tree / "data" / "logs").iterdir())
    password = (tree / "data" / "postgres" / "password").read_text().strip()
    assert password not in dev.greeting


def test_sample_person_is_made_once(dev: Dev, tree: Path, tmp_path: Path) -> None:
    file = tree / "data" / "sample-person"
    before = file.read_text()
    stack = Stack(tree / "data", dev.port, commands=stub_commands())
    assert ensure_sample_person(stack) == file
    assert file.read_text() == before


@pytest.mark.parametrize(
    "env", [{"DJANGO_SETTINGS_MODULE": "settings.prod"}, {"MESSAGE_BACKEND": "providers"}]
)
def test_no_sample_person_outside_of_development(dev: Dev, tmp_path: Path, env) -> None:
    stack = Stack(tmp_path, dev.port, env=env, commands=stub_commands())
    assert ensure_sample_person(stack) is None
    assert not (tmp_path / "sample-person").exists()


def test_tasks_go_through_the_worker_with_debug(dev: Dev, tree: Path) -> None:
    """djhuey's own default would run them inside the request (`immediate` is DEBUG)."""
    body = sign_up_payload(email="debug@example.com")
    worker = int(re.findall(r"^worker +(\d+)", dev.greeting, re.MULTILINE)[0])
    os.kill(worker, signal.SIGSTOP)
    try:
        assert httpx.post(url(dev, "/api/v1/signup/"), json=body).status_code == 201
        assert read_mailbox(dev, "debug@example.com") == []
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: read_mailbox(dev, "debug@example.com"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_file_that_cannot_be_compiled_is_reported_and_the_service_runs_on(
    dev: Dev, tree: Path
) -> None:
    replace(tree / "workers" / "tasks.py", "import", "imports")
    wait_until(lambda: re.search(r"workers/tasks.py, line \d+: .*; not restarted", dev.errors))
    assert httpx.get(url(dev, "/readyz")).status_code == 200


def test_change_of_files_restarts_every_process(dev: Dev, tree: Path) -> None:
    replace(tree / "api" / "reads" / "responses.py", "no-cache", "no-cache, stale-if-error=1")
    replace(tree / "api" / "writes" / "base.py", "no-store", "no-store, private")
    replace(
        tree / "workers" / "messages" / "templates" / "confirmation.subject.txt",
        "Confirm your",
        "Please confirm your",
    )
    tasks = tree / "workers" / "tasks.py"
    tasks.write_text(tasks.read_text().replace("imports", "import"))
    wait_until(lambda: dev.has_error("ready again"))
    response = httpx.post(
        url(dev, "/api/v1/signup/"), json=sign_up_payload(email="new@example.com")
    )
    assert response.headers["cache-control"] == "no-store, private"
    headers = {"Authorization": f"Bearer {response.json()['session']['token']}"}
    profile = httpx.get(url(dev, "/api/v1/profile/"), headers=headers)
    assert "stale-if-error" in profile.headers["cache-control"]
    messages = wait_until(lambda: read_mailbox(dev, "new@example.com"))
    assert messages[0]["subject"].startswith("Please confirm your")


def test_killed_processes_take_their_workers_along_and_sigterm_ends_all(dev: Dev) -> None:
    """The last test of this service."""
    assert_processes_end(dev, workers=1)
