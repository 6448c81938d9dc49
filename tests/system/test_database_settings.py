"""Databases and roles with settings of their own, and PgBouncer in front of them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from local.processes import Process
from local.stack import Stack
from local.tcp_ports import HOST, find_free_port
from tests.support.client import ApiClient, extra_service, wait_until, write_process
from tests.support.settings_process import SettingsProcess
from tests.system.conftest import Managed

# Prints what the connections of Django and of the dashboard have, with these settings.
PRINT = """
import django
django.setup()
from django.conf import settings
from django.db import connection
for execute in connection.cursor().execute, settings.HUEY_STATS["database"].execute_sql:
    print(*execute({query!r}).fetchone(), sep="|")
"""
MIGRATE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""


@pytest.fixture
def own_stack(managed: Managed) -> Stack:
    """A stack on a database whose settings differ from all that the service relies on."""
    return managed.stack


def test_formats_of_the_database_change_nothing(own_stack: Stack):
    with httpx.Client(base_url=own_stack.url, timeout=20) as client:
        person = ApiClient(client).sign_up()
        assert person.confirm("email").status_code == 200  # the relay and a worker have sent it
        overview = person.request("GET", "confirmations/")
        assert overview.status_code == 200
        assert overview.json()["phone"]["resend_available_at"].endswith("Z")
        assert person.patch({"name": "Grace"}).status_code == 200
        assert person.request("DELETE", "sessions/current/").status_code == 204
        assert client.get("/metrics").status_code == 200


def query_both(load_settings: SettingsProcess, query: str, url: str) -> str:
    """Returns the row that both connections get for a query."""
    result = load_settings(PRINT.format(query=query), DATABASE_URL=url)
    assert result.returncode == 0, result.stderr
    django, peewee = result.stdout.splitlines()
    assert django == peewee
    return django


def test_each_connection_has_the_formats_and_time_limits(
    own_stack: Stack, load_settings: SettingsProcess
):
    names = ["DateStyle", "IntervalStyle", "TimeZone", "standard_conforming_strings"]
    names += ["client_encoding", "statement_timeout", "idle_in_transaction_session_timeout"]
    query = f"SELECT {', '.join(f"current_setting('{name}')" for name in names)}"
    values = query_both(load_settings, query, own_stack.environment()["DATABASE_URL"])
    assert values == "ISO, DMY|postgres|UTC|on|UTF8|5s|10s"


def test_password_of_any_characters_is_percent_encoded(
    stack: Stack, load_settings: SettingsProcess
):
    url = stack.environment()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE special LOGIN PASSWORD 'p@ss/w:%#? x'")
        connection.execute("GRANT rollcall TO special")
        encoded = re.sub("//[^@]+@", "//special:p%40ss%2Fw%3A%25%23%3F%20x@", url)
        assert query_both(load_settings, "SELECT current_user, 1", encoded) == "special|1"
        connection.execute("REVOKE rollcall FROM special")
        connection.execute("DROP ROLE special")


@pytest.mark.parametrize(
    ("parameters", "query", "expected"),
    [
        ("options=-csearch_path%3Dx", "SHOW search_path", "x"),
        ("options=-c%20search_path%3Dx%20-c%20work_mem%3D5MB", "SHOW work_mem", "5MB"),
        ("options=-csearch_path%3Dx", "SHOW statement_timeout", "5s"),
        ("application_name=x", "SHOW application_name", "x"),
        ("tcp_user_timeout=1000&connect_timeout=9&keepalives_idle=7", "SELECT 1", "1"),
    ],
)
def test_parameters_of_the_database_url_are_obeyed(
    stack: Stack, load_settings: SettingsProcess, parameters, query, expected
):
    url = f"{stack.environment()['DATABASE_URL']}?{parameters}"
    assert query_both(load_settings, query, url) == expected


def test_time_limits_of_the_database_url_win(load_settings: SettingsProcess):
    parameters = {"connect_timeout": "9", "tcp_user_timeout": "1000", "keepalives_idle": "7"}
    url = "postgresql://127.0.0.1:1/none?" + "&".join(f"{k}={v}" for k, v in parameters.items())
    code = "from settings.prod import DATABASES; print(DATABASES['default']['OPTIONS'])"
    options = load_settings(code, DATABASE_URL=url).stdout
    for name, value in parameters.items():
        assert f"'{name}': '{value}'" in options


# --- PgBouncer -----------------------------------------------------------------------------------

TIME_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout")
IGNORED = f"ignore_startup_parameters = {', '.join(TIME_LIMITS)}"


def has_pgbouncer() -> bool:
    """Returns whether PgBouncer 1.21 or newer is installed: older have no prepared statements."""
    program = shutil.which("pgbouncer")
    if not program:
        return False
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"PgBouncer (\d+)\.(\d+)", text)
    return version is not None and (int(version[1]), int(version[2])) >= (1, 21)


needs_pgbouncer = pytest.mark.skipif(
    not has_pgbouncer(), reason="PgBouncer 1.21 or newer is not installed"
)


@contextmanager
def pgbouncer(folder: Path, postgres_url: str, settings: str = "") -> Iterator[str]:
    """Runs PgBouncer in transaction mode with these settings more; yields its DATABASE_URL."""
    server = conninfo_to_dict(postgres_url)
    port = find_free_port()
    (folder / "users").write_text(f'"{server["user"]}" "{server["password"]}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
rollcall = host={HOST} port={server["port"]} dbname=rollcall
[pgbouncer]
listen_addr = {HOST}
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
max_prepared_statements = 200
{settings}
"""
    )
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it does not run as root
    argv = ["pgbouncer", *user, str(folder / "pgbouncer.ini")]
    with Process("pgbouncer", argv, folder / "pgbouncer.log") as process:
        wait_until(lambda: "process up" in process.log_tail(), timeout=10)
        yield postgres_url.replace(f":{server['port']}/", f":{port}/")


@pytest.fixture
def role_limits(own_stack: Stack) -> Iterator[None]:
    """The time limits are set on the role."""
    with psycopg.connect(own_stack.environment()["DATABASE_URL"], autocommit=True) as connection:
        for name, value in zip(TIME_LIMITS, ("5s", "10s"), strict=True):
            connection.execute(f"ALTER ROLE rollcall SET {name} = '{value}'")
        yield
        connection.execute("ALTER ROLE rollcall RESET ALL")


@needs_pgbouncer
@pytest.mark.parametrize("settings", ["", IGNORED], ids=["refused", "dropped"])
def test_pgbouncer_without_time_limits_is_reported(own_stack: Stack, tmp_path: Path, settings: str):
    with (
        pgbouncer(tmp_path, own_stack.environment()["DATABASE_URL"], settings) as url,
        write_process(own_stack, DATABASE_URL=url) as (_, write_url),
    ):
        response = httpx.get(f"{write_url}/readyz?capability=write", timeout=10)
        assert (response.status_code, response.json()["write"]) == (503, "misconfigured")
    log = (own_stack.data_dir / "logs" / f"write-{write_url.rpartition(':')[2]}.log").read_text()
    assert "ignore_startup_parameters" in log
    assert "ALTER ROLE" in log


@needs_pgbouncer
@pytest.mark.usefixtures("role_limits")
def test_pgbouncer_in_transaction_mode_works_with_the_documented_settings(
    own_stack: Stack, tmp_path: Path, load_settings: SettingsProcess
):
    with pgbouncer(tmp_path, own_stack.environment()["DATABASE_URL"], IGNORED) as url:
        formats = query_both(
            load_settings, "SELECT now() - '1 day'::interval < now(), interval '90 min'", url
        )
        assert formats == "True|1:30:00"
        with (
            extra_service(own_stack, DATABASE_URL=url) as (_, service_url),
            httpx.Client(base_url=service_url, timeout=20) as client,
        ):
            people = [ApiClient(client).sign_up() for _ in range(20)]
            for person in people:
                assert person.confirm("email").status_code == 200
                assert person.request("GET", "confirmations/").status_code == 200
                assert person.patch({"name": "Grace"}).status_code == 200
        migrated = load_settings(MIGRATE, DATABASE_URL=url)
        assert migrated.returncode == 0, migrated.stderr
        assert "Name Postgres itself" in migrated.stderr
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)
