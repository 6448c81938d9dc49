"""An upgrade: the processes of two releases side by side, on one Postgres and one Redis."""

import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from local.commands import Commands, rollcall_commands
from local.postgres import Postgres
from local.stack import Stack
from tests.conftest import LONG
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import SETTINGS, copy_template

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = "domain/postgres/migrations"
MIGRATE_TO = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", "rollcall", "{}", verbosity=0)
"""
PAUSE = 0.5  # seconds between two people of one client: the new release starts at the same time


@pytest.fixture(scope="module")
def previous_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest source tree with a part of today's migrations, so that an upgrade has some to run.

    All of its migrations are today's: one that was changed before its release was never run.
    """
    today = list_migrations("HEAD")
    commits = git("log", "--first-parent", "--format=%H", "--", MIGRATIONS).decode().split()
    parents = git("log", "--no-walk", "--format=%P", *commits).decode().split() if commits else []
    previous = next((p for p in parents if set() < list_migrations(p) < today), None)
    if previous is None:
        pytest.skip("git has no history here, and so no previous release")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(git("archive", previous))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def list_migrations(commit: str) -> set[str]:
    """Returns name and hash of each migration in a commit."""
    return set(git("ls-tree", commit, f"{MIGRATIONS}/").decode().splitlines())


def git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, timeout=30
    ).stdout


class Clients:
    """Clients that use both releases in turn until the end of the block: what one of them has
    answered, the other knows. `people` have signed up so far.
    """

    def __init__(self, *urls: str) -> None:
        self.people: list[SignedUpPerson] = []
        self._urls = urls
        self._stopped = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(2) as threads:
            clients = [threads.submit(self._use, pair) for pair in (self._urls, self._urls[::-1])]
            try:
                yield
            finally:
                self.stop()
            for client in clients:
                client.result()

    def stop(self) -> None:
        self._stopped.set()

    def wait_for(self, count: int) -> None:
        """Returns after as many more people, or when a client has failed."""
        target = len(self.people) + count
        wait_until(lambda: len(self.people) >= target or self._stopped.is_set(), timeout=120)

    def _use(self, urls: tuple[str, ...]) -> None:
        with ExitStack() as stack:
            here, there = (
                ApiClient(stack.enter_context(httpx.Client(base_url=url, timeout=20)))
                for url in (urls[0], urls[-1])
            )
            try:
                while not self._stopped.wait(PAUSE):
                    self.people.append(use_both(here, there))
            finally:
                self.stop()


def use_both(here: ApiClient, there: ApiClient) -> SignedUpPerson:
    """Signs up here, reads and changes there, reads here, signs out there, reads here."""
    person = here.sign_up()
    same = SignedUpPerson(there, person.response)
    assert same.profile().json() == person.body
    assert same.patch({"name": "Grace"}).status_code == 200
    assert person.profile().json() == person.body | {"name": "Grace"}
    assert same.request("DELETE", "sessions/current/").status_code == 204
    assert person.profile().status_code == 401
    return person


def test_two_releases_serve_the_same_people_during_an_upgrade(
    previous_release: Path, tmp_path: Path, load_settings: SettingsProcess
):
    """The newer one migrates while the older one is used; both are used; the older one ends."""

    def older(port: int, write_bind: str) -> Commands:
        made = rollcall_commands(port, write_bind, 1)
        return Commands(in_folder(made.setup), {k: in_folder(v) for k, v in made.services.items()})

    def newer(port: int, write_bind: str) -> Commands:
        return rollcall_commands(port, write_bind, 1)

    def in_folder(argv: list[str]) -> list[str]:
        paths = {str(ROOT / name): str(previous_release / name) for name in ("", "manage.py")}
        # Its working directory too: gunicorn imports its settings from there.
        return ["env", "--chdir", str(previous_release), *(paths.get(part, part) for part in argv)]

    with previous_database(tmp_path, previous_release, load_settings) as database_url:
        env = {**SETTINGS, "OUTBOX_LEASE_SECONDS": "2", "DATABASE_URL": database_url}
        with Stack(tmp_path / "old", env=env, commands=older) as old:
            shared = ("REDIS_URL", "QUEUE_URL", "SECRET_KEY")
            env |= {name: old.environment()[name] for name in shared}
            new = Stack(tmp_path / "new", env=env, commands=newer)
            upgrade(old, new, 50 if LONG else 3)
            load_settings.manage(new, ("profiles", "verify"))


@contextmanager
def previous_database(folder: Path, release: Path, load_settings: SettingsProcess) -> Iterator[str]:
    """A database as a release has it: today's, migrated back. Yields its URL."""
    last = max(path.stem for path in (release / MIGRATIONS).glob("0*.py"))
    copy_template(folder)
    with Postgres(folder, durable=False) as postgres:
        code = MIGRATE_TO.format(last)
        result = load_settings(code, DATABASE_URL=postgres.url, **SETTINGS)
        assert result.returncode == 0, result.stderr
        yield postgres.url


def upgrade(old: Stack, new: Stack, count: int) -> None:
    """Starts the newer release beside the older one, which it ends then, while `count` people use
    them and more.
    """
    before = Clients(old.url)
    with before.running(), new:
        before.wait_for(count)
        both = Clients(old.url, new.url)
        with both.running():
            both.wait_for(2 * count)
        before.stop()
        people = before.people + both.people
        wait_until(lambda: all(messages_to(each, old, new) >= 2 for each in people))
        for name in reversed(old.own_services):
            old.services[name].stop()
        after = Clients(new.url)
        with after.running():
            after.wait_for(count)
        wait_until(lambda: all(messages_to(each, new) >= 2 for each in after.people))


def messages_to(person: SignedUpPerson, *stacks: Stack) -> int:
    """Returns how many messages a person got from the workers of these stacks."""
    boxes = [stack.data_dir / "mailbox.jsonl" for stack in stacks]
    text = "".join(box.read_text() for box in boxes if box.exists())
    return sum(text.count(f'"{person.body[name]}"') > 0 for name in ("email", "phone"))
