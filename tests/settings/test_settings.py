"""Settings: production does not start without its secrets, and names the missing one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local.tcp_ports import find_free_port
from tests.conftest import LONG
from tests.support import webhook_signatures
from tests.support.settings_process import PRODUCTION_ENV, SettingsProcess


def test_production_starts_with_all_its_settings(load_settings: SettingsProcess):
    assert load_settings().returncode == 0


@pytest.mark.parametrize("name", sorted(PRODUCTION_ENV.keys() - {"DJANGO_SETTINGS_MODULE"}))
def test_production_does_not_start_without_a_required_setting(load_settings: SettingsProcess, name):
    result = load_settings(**{name: ""})
    assert result.returncode != 0
    assert name in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "secret", ["short", "a" * 60, "development-only-secret-key-that-production-refuses-at-once"]
)
def test_production_rejects_a_weak_secret_without_printing_it(
    load_settings: SettingsProcess, secret
):
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        result = load_settings(**{name: secret})
        assert result.returncode != 0
        assert "SECRET_KEY" in result.stderr.splitlines()[-1]
        assert secret not in result.stderr


# Values that a person, a file or an orchestrator may leave in a setting, and that stop the start.
DATABASE = "postgresql://ada:s3cr3t@127.0.0.1:1/none"
REFUSED = {
    **dict.fromkeys(("DEBUG", "HUEY_DASHBOARD", "SECURE_SSL_REDIRECT"), ("perhaps", "2")),
    "TRUST_X_FORWARDED_PROTO": ("https",),
    "LOG_LEVEL": ("verbose", "10"),
    "MESSAGE_BACKEND": ("smtp",),
    # Numbers and durations.
    **dict.fromkeys(
        (
            "READ_REDIS_TIMEOUT",
            "KEEP_ALIVE_TIMEOUT",
            "HEADERS_TIMEOUT",
            "BODY_TIMEOUT",
            "SEND_TIMEOUT",
            "LINGER_TIMEOUT",
            "WRITE_TIMEOUT",
            "PROVIDER_TIMEOUT",
        ),
        ("0", "-1", "nan", "inf", "1e308", "soon"),
    ),
    **dict.fromkeys(
        ("READ_MISS_TIMEOUT", "CLIENT_CACHE_MAX_STALENESS", "SHUTDOWN_DELAY"),
        ("-0.1", "nan", "inf", "1e308"),
    ),
    **dict.fromkeys(
        (
            "CLIENT_CACHE_MAX_BYTES",
            "WRITE_MAX_CONCURRENCY",
            "WRITE_THREADS",
            "HUEY_WORKERS",
            "SESSION_LIFETIME_DAYS",
            "SESSION_MAX_LIFETIME_DAYS",
            "OUTBOX_LEASE_SECONDS",
            "OUTBOX_RETENTION_DAYS",
            "UNVERIFIED_RETENTION_DAYS",
            "MESSAGES_PER_DAY",
            "SMS_CONVERSION_MIN_SAMPLE",
        ),
        ("0", "-1", "1.5", "999999999999", "many"),
    ),
    **dict.fromkeys(
        (
            "WRITE_MAX_WAITING",
            "STATEMENT_TIMEOUT_MS",
            "MESSAGE_COOLDOWN_SECONDS",
            "SMS_PER_DAY",
            "SMS_PER_PREFIX_PER_DAY",
            "TRUSTED_PROXIES",
        ),
        ("-1", "999999999999", "many"),
    ),
    "EVENT_WEBHOOK_CONCURRENCY": ("0", "257", "many"),
    "EVENT_WEBHOOK_TIMEOUT": ("0", "61", "nan"),
    "EVENT_WEBHOOK_SECRET": ("whsec_", "secret", "whsec_c2hvcnQ=", ","),
    "EVENT_WEBHOOK_URL": (
        "receiver.example",
        "http://receiver.example/events",
        "https://receiver.example/events",  # without a secret
    ),
    "SMS_CONVERSION_MIN_RATE": ("-0.1", "1.1", "nan", "10%"),
    "RATE_LIMIT_SIGN_UP": ("often", "0/minute", "10/0hours", "1/minute;2/hour", "9/9999999years"),
    # Lists: with nothing in them, or with something of another kind.
    "SECRET_KEY_FALLBACKS": (",",),
    "ALLOWED_HOSTS": (
        ",",
        "https://rollcall.example",
        "rollcall.example:443",
        "rollcall.example/",
        "*.rollcall.example",
        "a.example b.example",
        "a.example, https://b.example",
    ),
    "CORS_ALLOWED_ORIGINS": (
        ", ,",
        "*",
        "app.example",
        "https://App.example",
        "https://app.example/",
        "https://app.example:443",
        "https://app.example:99999",
        "https://app.example, null",
    ),
    "SMS_COUNTRIES": (",", "UK", "ESP", "Spain", "ES;PT", "ES, *", "34"),
    "DEFAULT_LANGUAGE": ("zh", "de-AT", "german"),
    "MESSAGE_TEMPLATES": ("/nowhere", "docs", "/etc/hostname"),
    "DEFAULT_PHONE_REGION": ("UK", "Spain", "+34", "ES,PT", "001"),
    # URLs and hosts.
    "PUBLIC_URL": (
        "rollcall.example",
        "http://rollcall.example",
        "ftp://rollcall.example",
        "https://",
        "https://rollcall.example/prefix",
        "https://rollcall.example//",
        "https://rollcall.example?",
        "https://rollcall.example/#top",
        "https://ada:s3cr3t@rollcall.example",
        "https://rollcall.example:443",
        "https://rollcall.example:0",
        "https://rollcall.example:65536",
        "https://roll call.example",
        "https://röllcall.example",
    ),
    "DATABASE_URL": (
        "127.0.0.1/none",
        "mysql://ada:s3cr3t@127.0.0.1/none",
        "postgresql+psycopg://ada:s3cr3t@127.0.0.1/none",
        "jdbc:postgresql://127.0.0.1/none?user=ada&password=s3cr3t",
        "postgresql://ada:s3cr3t@127.0.0.1",
        "postgresql://ada:s3cr3t@/none",
        "postgresql://ada:s3cr3t@127.0.0.1,/none",
        "postgresql://ada:s3cr3t%zz@127.0.0.1/none",
        "postgresql://ada:s3cr3t@127.0.0.1:port/none",
        "postgresql://ada:s3cr3t@127.0.0.1:99999/none",
        "postgresql://ada:s3cr3t@127.0.0.1:5432,127.0.0.2:0/none",
        f"{DATABASE}?currentSchema=s3cr3t",
        f"{DATABASE}?sslmode=s3cr3t",
        f"{DATABASE}?connect_timeout=s3cr3t",
        f"{DATABASE}?client_encoding=latin1",
        f"{DATABASE}?target_session_attrs=s3cr3t",
        f"{DATABASE}?options=-c%20statement_timeout%3D0",
        f"{DATABASE}?options=--DateStyle%3DSQL",
    ),
    **dict.fromkeys(
        ("REDIS_URL", "QUEUE_URL"),
        (
            "127.0.0.1:6379",
            "http://:s3cr3t@127.0.0.1/0",
            "redis://:s3cr3t@/0",
            "redis://:s3cr3t@127.0.0.1:port/0",
            "redis://:s3cr3t@127.0.0.1:0/0",
            "redis://:s3cr3t@127.0.0.1:65536/0",
            "redis://:s3cr3t/pa@127.0.0.1/0",
            "redis://:s3cr3t#pa@127.0.0.1/0",
            "redis://:s3cr3t@127.0.0.1/first",
            "redis://:s3cr3t@127.0.0.1/0?db=1",
            "redis://:s3cr3t@127.0.0.1/0?socket_timeout=1",
            "redis://:s3cr3t@127.0.0.1/0?ssl_cert_reqs=none",
            "redis://ada@127.0.0.1/0",
            "rediss://:s3cr3t@127.0.0.1/0?ssl_cert_reqs=s3cr3t",
            "rediss://:s3cr3t@127.0.0.1/0?ssl_ca_certs=/none",
            "unix://run/redis.sock",
            "unix://",
            "redis+tls://:s3cr3t@127.0.0.1/0",
            "redis://:s3cr3t@127.0.0.1,127.0.0.2/0",
            "redis+sentinel://:s3cr3t@127.0.0.1",
            "redis+sentinel://:s3cr3t@127.0.0.1/my profiles",
            "redis+sentinel://:s3cr3t@127.0.0.1/profiles/0",
            "redis+sentinel://:s3cr3t@127.0.0.1,/profiles",
            "redis+sentinel://:s3cr3t@127.0.0.1:port,127.0.0.2/profiles",
            "redis+sentinel://:s3cr3t@/profiles",
            "redis+sentinel://ada@127.0.0.1/profiles",
            "redis+sentinel://127.0.0.1/profiles?db=s3cr3t",
            "redis+sentinel://127.0.0.1/profiles?password=s3cr3t",
            "redis+sentinel://127.0.0.1/profiles?sentinel_username=s3cr3t",
            "rediss+sentinel://127.0.0.1/profiles?ssl_ca_certs=/none/s3cr3t",
            "redis+cluster://:s3cr3t@127.0.0.1/1",
            "redis+cluster://:s3cr3t@127.0.0.1?db=1",
            "redis+cluster://:s3cr3t@127.0.0.1?sentinel_password=s3cr3t",
            "redis+cluster://:s3cr3t@127.0.0.1:0",
            "redis+cluster://:s3cr3t@",
        ),
    ),
    "WRITE_UPSTREAM": ("write", "http://write:8001", "write:0", "write:65536", "write:²", "/x"),
    "SENDGRID_HOST": ("api.sendgrid.com", "https://", "https://api.sendgrid.com/v3"),
    "VONAGE_HOST": ("https://rest.nexmo.com", "rest.nexmo.com/", "rest.nexmo.com:0"),
    "SMS_DOMAIN": ("https://rollcall.example", "rollcall.example:443", "@rollcall.example"),
    # People's and the providers' names, keys and addresses.
    "EMAIL_FROM": ("rollcall", "Rollcall <hello@rollcall.example>", "a@b.example, c@d.example"),
    "SMS_FROM": ("ab", "twelve chars", "TwelveLetter", "Röllcall", "+0123", "+1234567890123456"),
    "SERVICE_NAME": ("Roll\ncall", "Roll\u2028call", "x" * 101),
    "METRICS_TOKEN": ("short", "twenty characters and more"),
    **dict.fromkeys(
        ("SENDGRID_API_KEY", "VONAGE_API_KEY", "VONAGE_API_SECRET"),
        ("s3cr3t key", "s3cr3t\nkey", "s3cr3té", '"s3cr3t"', "\ufeffs3cr3t"),
    ),
    "VONAGE_SIGNATURE_SECRET": ("s3cr3t\nkey", "'s3cr3t'", "\ufeffs3cr3t"),
    "SECRET_KEY": (f'"{"s3cr3t" * 5}{PRODUCTION_ENV["SECRET_KEY"]}"',),
    "SENDGRID_WEBHOOK_PUBLIC_KEY": (
        "AAAA",
        webhook_signatures.encode_public_key(ec.derive_private_key(1, ec.SECP384R1())),
    ),
}


def test_queue_in_a_cluster_is_refused_with_the_reason(load_settings: SettingsProcess):
    result = load_settings(QUEUE_URL="redis+cluster://127.0.0.1")
    assert "QUEUE_URL" in result.stderr.splitlines()[-1]
    assert "cannot be in a Redis Cluster" in result.stderr.splitlines()[-1]


# Loads the settings with one value after another: a process for each would take most of the time.
LOAD_WITH_EACH = """
import json, os, sys, traceback
from django.conf import settings
tracebacks = []
for value in {values!r}:
    os.environ[{name!r}] = value
    for module in [each for each in sys.modules if each.partition(".")[0] == "settings"]:
        del sys.modules[module]
    try:
        settings.DEBUG
    except Exception:
        tracebacks.append(traceback.format_exc())
    else:
        tracebacks.append("")
print(json.dumps(tracebacks))
"""


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_setting_is_refused_by_name_without_its_value(
    load_settings: SettingsProcess, name: str
):
    values = REFUSED[name]
    result = load_settings(LOAD_WITH_EACH.format(name=name, values=values))
    for value, text in zip(values, json.loads(result.stdout), strict=True):
        assert text, f"{value!r} is accepted"
        assert name in text.splitlines()[-1], value
        assert "s3cr3t" not in text, value


# What is accepted, and what it becomes.
ACCEPTED = [
    (
        "ALLOWED_HOSTS",
        " a.example, .b.example ,[::1],*\n",
        ["a.example", ".b.example", "[::1]", "*"],
    ),
    ("SMS_COUNTRIES", "ES, pt\n", ["ES", "PT"]),
    ("SMS_COUNTRIES", "*", []),
    ("DEFAULT_LANGUAGE", "AR", "ar"),
    ("DEFAULT_PHONE_REGION", "es", "ES"),
    ("DEFAULT_PHONE_REGION", " ", None),
    ("LOG_LEVEL", "warning", "WARNING"),
    ("PUBLIC_URL", "https://Rollcall.example:8443/\n", "https://rollcall.example:8443"),
    ("EMAIL_FROM", "hello@rollcall.example\r\n", "hello@rollcall.example"),
    ("SMS_FROM", "+15550100123", "15550100123"),
    ("SENDGRID_API_KEY", "SG.key\n", "SG.key"),
    ("VONAGE_API_SECRET", "  secret\n", "secret"),
    ("VONAGE_SIGNATURE_SECRET", "secret\n", "secret"),
    ("SENDGRID_HOST", "https://api.eu.sendgrid.com/", "https://api.eu.sendgrid.com"),
    ("VONAGE_HOST", "127.0.0.1:8080", "127.0.0.1:8080"),
    ("REDIS_URL", "unix://:secret@/run/redis.sock?db=1\n", "unix://:secret@/run/redis.sock?db=1"),
    *(
        (name, url, url)
        for name, url in (
            ("REDIS_URL", "redis+sentinel://ada:secret@a,[::1]:26380/profiles?db=1"),
            ("QUEUE_URL", "rediss+sentinel://a/queue?ssl_cert_reqs=none&sentinel_password=secret"),
            ("REDIS_URL", "rediss+cluster://:secret@a:7000,b_2,10.0.0.1:7001/"),
        )
    ),
    ("KEEP_ALIVE_TIMEOUT", "620", 620.0),
    ("HUEY_WORKERS", "", 8),
    ("TRUSTED_PROXIES", "0\n", 0),
]


@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_setting_is_trimmed_and_normalized(load_settings: SettingsProcess, name, value, expected):
    code = f"from django.conf import settings; print(repr(settings.{name}))"
    result = load_settings(code, **{name: value})
    assert result.stdout == f"{expected!r}\n", result.stderr


def test_lists_of_secrets_and_origins_are_trimmed(load_settings: SettingsProcess):
    secrets = [PRODUCTION_ENV["SECRET_KEY"][::-1], PRODUCTION_ENV["SECRET_KEY"].swapcase()]
    origins = ["https://a.example", "http://localhost:5173"]
    code = "from settings.prod import *; print(SECRET_KEY_FALLBACKS, CORS_ALLOWED_ORIGINS)"
    result = load_settings(
        code,
        SECRET_KEY_FALLBACKS=", ".join(secrets) + "\n",
        CORS_ALLOWED_ORIGINS=" , ".join(origins) + ",",
    )
    assert result.stdout == f"{secrets} {tuple(origins)}\n", result.stderr


def test_idle_time_of_connections_can_be_set(load_settings: SettingsProcess):
    code = """
from api.writes.gunicorn_config import keepalive
from settings.environment import KEEP_ALIVE_TIMEOUT
print(keepalive, KEEP_ALIVE_TIMEOUT)
"""
    assert load_settings(code, KEEP_ALIVE_TIMEOUT="620").stdout == "620 620.0\n"


def test_debug_is_off_in_development_by_default(load_settings: SettingsProcess):
    code = "from django.conf import settings; print(settings.DEBUG, settings.HUEY['immediate'])"
    for variables, expected in ({}, "False"), ({"DEBUG": "1"}, "True"):
        result = load_settings(code, DJANGO_SETTINGS_MODULE="settings.dev", **variables)
        assert result.stdout.split() == [expected, "False"]


GUNICORN = [str(Path(sys.executable).parent / "gunicorn"), "--workers", "2"]
READ = [*GUNICORN, "--config=python:api.http_server.gunicorn_config", "api.reads.app:Application"]
WRITE = [*GUNICORN, "--config=python:api.writes.gunicorn_config", "api.wsgi:application"]
MANAGE = [sys.executable, "manage.py"]
AS_ANOTHER = pytest.mark.skipif(not LONG, reason="LONG=1: it exits as another one does")


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (READ, "SECRET_KEY", ""),
        (WRITE, "DATABASE_URL", "postgresql://127.0.0.1:1/none?currentSchema=x"),
        ([*MANAGE, "run_huey"], "DATABASE_URL", "postgresql://127.0.0.1:1/none?currentSchema=x"),
        pytest.param(READ, "REDIS_URL", "redis://127.0.0.1:1/first", marks=AS_ANOTHER),
        pytest.param([*MANAGE, "relay"], "TRUSTED_PROXIES", "", marks=AS_ANOTHER),
        pytest.param([*MANAGE, "migrate"], "EMAIL_FROM", "nobody", marks=AS_ANOTHER),
    ],
    ids=["read", "write", "worker", "read URL", "relay", "migrate"],
)
def test_misconfigured_process_exits_with_the_reason(argv: list[str], name: str, value: str):
    """Started as in the image: it must exit instead of restarting forever."""
    if argv[0] != sys.executable:
        argv = [*argv, "--bind", f"127.0.0.1:{find_free_port()}"]
    env = {"PATH": os.environ["PATH"]} | PRODUCTION_ENV | {name: value}
    result = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode > 0
    assert name in result.stderr
