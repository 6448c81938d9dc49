"""`make run`: real servers, real processes, real kills."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis

from local.commands import Commands
from local.postgres import Postgres
from local.processes import Process, StackError, wait_any
from local.servers import Valkey
from local.stack import Stack
from local.tcp_ports import find_free_port
from tests.conftest import LONG
from tests.support.faults import child_pids, kill, resume, suspend

# A read process that serves /readyz and has a child; a worker; a relay.
WEB = """
import http.server, os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
IDLE = "import signal; signal.pause()"
# Most of these tests need no servers, which take a while to start.
NO_SERVERS = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "QUEUE_URL"), "not asked for by stand-ins")
SLOW_STEP = r"rollcall: (starting|migrating) .*\n"


def stub_commands(**scripts: str) -> Callable[[int, str], Commands]:
    """Returns small commands in place of Rollcall's, to test `local` alone."""
    service = {"read": WEB, "worker": IDLE, "relay": IDLE, **scripts}
    commands = Commands(
        setup=[sys.executable, "-c", "print('migrated')"],
        services={name: [sys.executable, "-c", script] for name, script in service.items()},
    )
    return lambda _port, _write_bind: commands


def supervisor(**scripts: str) -> list[str]:
    """Returns the arguments of a Python that runs `python -m local` with stub commands."""
    imports = "import sys; from local.__main__ import main; from local.commands import Commands"
    return ["-c", f"{imports}; sys.exit(main(lambda *_: {stub_commands(**scripts)(0, '')!r}))"]


class SupervisorProcess:
    """A supervisor as a process, for the length of a `with` block."""

    def __init__(
        self, tmp_path: Path, *arguments: str, port: int | None = None, servers: bool = False
    ) -> None:
        self.port = port or find_free_port()
        env = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "PORT": str(self.port)}
        env |= dict.fromkeys(NO_SERVERS, "") if servers else NO_SERVERS
        self.error_file = tmp_path / f"errors-{time.monotonic_ns()}"
        with self.error_file.open("wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, *(arguments or supervisor())],
                env=env,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    @property
    def errors(self) -> str:
        """What it has printed on stderr, but for steps that are slow on a busy machine."""
        return re.sub(SLOW_STEP, "", self.error_file.read_text())

    def has_error(self, text: str) -> bool:
        return text in self.errors

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Returns once its first line reports that it is ready."""
        assert self.popen.stdout
        assert select.select([self.popen.stdout], [], [], timeout)[0], "it has printed nothing"
        line = self.popen.stdout.readline().decode()
        assert line == f"ready: http://127.0.0.1:{self.port}\n", self.errors

    def tree(self) -> dict[int, int]:
        """Returns a pidfd for each process below the supervisor, by pid."""
        return open_pidfds(get_descendants(self.popen.pid))

    def stop(self, signum: signal.Signals, timeout: float = 30) -> int:
        """Sends the signal; returns its exit status."""
        self.popen.send_signal(signum)
        return self.popen.wait(timeout)

    def __enter__(self) -> "SupervisorProcess":
        return self

    def __exit__(self, *_: object) -> None:
        with self.popen:  # which closes its pipe
            self.popen.terminate()  # this also ends those that do not exit with their parent
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(30)
            self.popen.kill()


def get_descendants(pid: int) -> list[int]:
    children = child_pids(pid)
    return children + [descendant for child in children for descendant in get_descendants(child)]


def open_pidfds(pids: Iterable[int]) -> dict[int, int]:
    pidfds = {}
    for pid in pids:
        with suppress(ProcessLookupError):  # it has exited
            pidfds[pid] = os.pidfd_open(pid)
    return pidfds


def assert_all_exit(tree: dict[int, int], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for pid, pidfd in tree.items():
        assert wait_any([pidfd], deadline - time.monotonic()), read_command_line(pid)
        os.close(pidfd)


def wait_until_true(condition: Callable[[], object], timeout: float = 15) -> None:
    """Polls a condition, such as a file's content or a process's child."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        wait_any([], timeout=0.02)


def read_command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path, "profiles") as server:
        yield server


# --- Servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["stop", "kill"])
def test_postgres_keeps_data_and_port_after_stop_and_kill(postgres: Postgres, method: str) -> None:
    url = postgres.url
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE kept_{method} AS SELECT 42 AS answer")
    kill(postgres) if method == "kill" else postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute(f"SELECT answer FROM kept_{method}").fetchone() == (42,)


@pytest.mark.parametrize("method", ["stop", "kill"])
def test_valkey_keeps_data_and_port_after_stop_and_kill(valkey: Valkey, method: str) -> None:
    redis.Redis.from_url(valkey.url).set("answer", 42)
    getattr(valkey, method)()
    with pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(valkey.url).ping()
    valkey.start()
    client = redis.Redis.from_url(valkey.url)
    assert client.get("answer") == b"42"
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_postgres_uses_utf_8_and_requires_the_password(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT upper('žluťoučký')").fetchone() == ("ŽLUŤOUČKÝ",)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="rollcall", dbname="rollcall")
    assert (postgres.folder / "password").stat().st_mode & 0o777 == 0o600


def test_kill_ends_postgres_and_its_backends_during_a_query(postgres: Postgres) -> None:
    with closing(psycopg.connect(postgres.url)) as connection:
        # An idle backend would exit on its own; a computing one does not check.
        connection.pgconn.send_query(b"DO 'BEGIN LOOP END LOOP; END'")
        backends = open_pidfds(child_pids(postgres.pid))
        assert connection.info.backend_pid in backends
        kill(postgres)
        assert_all_exit(backends, timeout=0)
    postgres.start()


def test_stale_pid_file_of_another_process_is_ignored(
    postgres: Postgres,
) -> None:
    kill(postgres)
    pid_file = postgres.folder / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with Process("bystander", [sys.executable, "-c", IDLE]) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        postgres.start()


def test_suspended_server_keeps_connections_until_resumed(
    postgres: Postgres, valkey: Valkey
) -> None:
    client = redis.Redis.from_url(valkey.url, socket_timeout=0.2, retry=None)
    client.ping()
    with closing(psycopg.connect(postgres.url, autocommit=True)) as connection:
        suspend(valkey)
        suspend(postgres)
        with pytest.raises(redis.TimeoutError):
            client.ping()
        connection.pgconn.send_query(b"SELECT 1")
        assert select.select([connection.fileno()], [], [], 0.2) == ([], [], [])
        resume(valkey)
        resume(postgres)
        assert select.select([connection.fileno()], [], [], 5)[0]
    assert client.ping()


def test_failed_start_reports_the_tail_of_the_log(tmp_path: Path) -> None:
    server = Valkey(tmp_path, "profiles", {"maxmemory-policy": "nonsense"})
    with pytest.raises(StackError, match=r"profiles ended with status 1[^$]*maxmemory-policy"):
        server.start()
    assert not server.is_running


# --- Processes -----------------------------------------------------------------------------------


def test_process_that_ignores_sigterm_is_killed_with_its_group(tmp_path: Path) -> None:
    stubborn = f"""if True:
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", {IDLE!r}])
        print("up", flush=True)
        signal.pause()"""
    process = Process("stubborn", [sys.executable, "-c", stubborn], tmp_path / "log")
    process.start()
    wait_until_true(lambda: "up" in process.log_tail())
    child = open_pidfds(child_pids(process.pid))
    assert len(child) == 1
    process.stop(timeout=0.2)
    assert process.status == -signal.SIGKILL
    assert_all_exit(child, timeout=5)


def test_sigkill_of_the_parent_ends_all_servers(tmp_path: Path) -> None:
    script = f"""if True:
        import pathlib, signal
        from local.postgres import Postgres
        from local.servers import Valkey
        Postgres(pathlib.Path({str(tmp_path)!r}), durable=False).start()
        Valkey(pathlib.Path({str(tmp_path)!r}), "queue").start()
        print("up", flush=True)
        signal.pause()"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"up\n"
        tree = open_pidfds(get_descendants(parent.pid))
        assert len(tree) > 5
        parent.kill()
    with Postgres(tmp_path, durable=False):  # waits for the previous server to exit
        assert_all_exit(tree, timeout=5)


# --- The stack, with stand-ins for the product ---------------------------------------------------


def test_stack_starts_on_free_ports_and_restarts_services(tmp_path: Path) -> None:
    with Stack(tmp_path, durable=False, commands=stub_commands()) as stack:
        assert [*stack.services] == ["postgres", "profiles", "queue", "read", "worker", "relay"]
        old = stack.services["worker"].pid
        stack.services["worker"].kill()
        assert not stack.services["worker"].is_running
        stack.services["worker"].start()
        assert stack.services["worker"].pid != old
        stack.services["read"].kill()
        stack.services["read"].start()
        stack.wait_until_ready()
    assert not any(part.is_running for part in stack.services.values())


def test_servers_named_in_the_environment_replace_embedded_ones(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "postgresql://elsewhere/x", "REDIS_URL": "redis://elsewhere"}
    stack = Stack(tmp_path, env={**env, "QUEUE_URL": ""}, commands=stub_commands())
    assert [*stack.services] == ["queue"]
    assert stack.environment().items() >= env.items()


def test_service_that_exits_during_start_reports_its_log(tmp_path: Path) -> None:
    relay = "import sys; sys.exit('no relay today')"
    commands = stub_commands(read=WEB.replace("200", "503"), relay=relay)
    stack = Stack(tmp_path, env=NO_SERVERS, commands=commands)
    with pytest.raises(StackError, match="relay ended, status 1\nno relay today"):
        stack.start()
    assert not any(part.is_running for part in stack.services.values())


def test_sigterm_ends_all_started_processes_and_no_other(tmp_path: Path) -> None:
    with (
        SupervisorProcess(tmp_path, servers=True) as run,
        Process("bystander", [sys.executable, "-c", IDLE]) as bystander,
    ):
        run.wait_until_ready()
        tree = run.tree()
        assert len(tree) > 10
        assert run.stop(signal.SIGTERM) == 0
        assert_all_exit(tree, timeout=0.2)
        assert not bystander.wait()
        assert run.errors == ""


@pytest.mark.parametrize("signum", [*([signal.SIGINT] if LONG else []), signal.SIGHUP])
def test_sigint_or_sighup_during_start_ends_everything(
    tmp_path: Path, signum: signal.Signals
) -> None:
    previous = signal.signal(signum, signal.SIG_DFL)  # `nohup make test` ignores SIGHUP
    with SupervisorProcess(tmp_path, *supervisor(read=IDLE)) as run:  # it never becomes ready
        signal.signal(signum, previous)
        wait_until_true((tmp_path / "data/logs/relay.log").exists)
        tree = run.tree()
        assert run.stop(signum) == 0
        assert_all_exit(tree, timeout=0.2)


def test_signal_within_a_callback_of_a_fork_is_not_lost(tmp_path: Path) -> None:
    """Python ignores what a signal handler raises in such a callback; `logging` has one too."""
    callback = "lambda: os.kill(os.getpid(), signal.SIGTERM)"
    option, script = supervisor()
    script = f"import os, signal; os.register_at_fork(after_in_parent={callback}); {script}"
    with SupervisorProcess(tmp_path, option, script) as run:
        assert run.popen.wait(30) == 0


def test_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); {IDLE}"
    with SupervisorProcess(tmp_path, *supervisor(worker=stubborn)) as run:
        run.wait_until_ready()
        wait_until_true(lambda: "up" in (tmp_path / "data/logs/worker.log").read_text())
        tree = run.tree()
        run.popen.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            run.popen.wait(0.5)
        assert run.stop(signal.SIGINT, timeout=5) == 0
        assert_all_exit(tree, timeout=1)


def test_supervisor_exits_when_make_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, *supervisor(), "--parent-pid"]
    make = f"import os, subprocess; subprocess.run([*{command!r}, str(os.getpid())])"
    with SupervisorProcess(tmp_path, "-c", make) as run:
        run.wait_until_ready()
        tree = run.tree()
        run.popen.kill()
        assert_all_exit(tree, timeout=10)


def test_service_that_exits_is_restarted_on_its_port(tmp_path: Path) -> None:
    with SupervisorProcess(tmp_path, servers=True) as run:
        run.wait_until_ready()
        for name, title in (("worker", f"-c {IDLE}"), ("postgres", "postgres -D")):
            tree = get_descendants(run.popen.pid)
            victim = next(pid for pid in tree if title in read_command_line(pid))
            command = read_command_line(victim)  # which includes the port

            def has_restarted(tree: list[int], command: str) -> bool:
                new = [pid for pid in get_descendants(run.popen.pid) if pid not in tree]
                return command in [read_command_line(pid) for pid in new]

            os.kill(victim, signal.SIGKILL)
            wait_until_true(partial(has_restarted, tree, command))
            expected = f"rollcall: {name} exited, status -9; restart 1 of at most 5"
            assert expected in run.errors
            assert run.popen.poll() is None


def test_service_that_keeps_exiting_stops_everything(tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    relay = f"import pathlib\nif pathlib.Path({str(poison)!r}).exists(): exit('so sorry')\n{IDLE}"
    with SupervisorProcess(tmp_path, *supervisor(relay=relay)) as run:
        run.wait_until_ready()
        tree = run.tree()
        poison.touch()
        os.kill(next(pid for pid in tree if "poison" in read_command_line(pid)), signal.SIGKILL)
        assert run.popen.wait(30) == 1
        assert_all_exit(tree, timeout=0.2)
        assert "rollcall: relay exited, status 1; restart 5 of at most 5" in run.errors
        assert "relay exited again (status 1) after 5 restarts within 60 s; giving up" in run.errors
        assert run.errors.endswith("so sorry\n")


def test_second_run_on_the_same_data_is_a_one_line_error(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", env=NO_SERVERS, commands=stub_commands()) as stack:
        with SupervisorProcess(tmp_path) as second:
            assert second.popen.wait(15) == 1
            assert second.errors == (
                f"rollcall: {stack.data_dir} is in use by another run; "
                "choose another with DATA_DIR=…\n"
            )
        stack.wait_until_ready()


def test_taken_port_is_a_one_line_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", find_free_port())) as taken:
        port = taken.getsockname()[1]
        with SupervisorProcess(tmp_path, port=port) as run:
            assert run.popen.wait(15) == 1
            assert run.errors.startswith(f"rollcall: port {port} is taken")
            assert len(run.errors.splitlines()) == 1


# --- The product itself --------------------------------------------------------------------------


def assert_processes_end(run: SupervisorProcess, workers: int) -> None:
    """Kills the read and the write process, whose workers have to exit too; then stops all."""
    tree = run.tree()
    for part, application in (("read", "api.reads.app"), ("write", "api.wsgi")):
        main, *children = [pid for pid in tree if application in read_command_line(pid)]
        assert len(children) == workers
        ending = {pid: tree.pop(pid) for pid in children} | open_pidfds([main])
        os.kill(main, signal.SIGKILL)
        assert_all_exit(ending, timeout=5)
        wait_until_true(partial(run.has_error, f"{part} exited"))
    assert run.stop(signal.SIGTERM) == 0
    assert_all_exit(tree, timeout=0.2)


@pytest.mark.skipif(not LONG, reason="LONG=1: twice the start of all; test_dev.py has another run")
def test_python_m_local_serves_keeps_data_and_leaves_no_process(tmp_path: Path) -> None:
    with SupervisorProcess(tmp_path, "-m", "local", servers=True) as run:
        run.wait_until_ready()
        assert "Applying" in (tmp_path / "data/logs/setup.log").read_text()
        assert (tmp_path / "data/staff-password").stat().st_mode & 0o777 == 0o600
        tree = run.tree()
        run.popen.kill()
        assert_all_exit(tree, timeout=5)
    before = time.monotonic()
    with SupervisorProcess(tmp_path, "-m", "local", servers=True) as run:
        run.wait_until_ready()
        assert time.monotonic() - before < 60  # 7 s on two idle cores
        assert "No migrations to apply" in (tmp_path / "data/logs/setup.log").read_text()
        assert_processes_end(run, workers=2)
