"""Settings: production does not start without its secrets, and names the missing one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local.tcp_ports import find_free_port
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUEY_WORKERS", "many"),
        ("PROVIDER_TIMEOUT", "soon"),
        ("DEBUG", "perhaps"),
        ("SENDGRID_WEBHOOK_PUBLIC_KEY", "AAAA"),
        (
            "SENDGRID_WEBHOOK_PUBLIC_KEY",
            webhook_signatures.encode_public_key(ec.generate_private_key(ec.SECP384R1())),
        ),
    ],
    ids=lambda text: text[:27],  # each process generates a key
)
def test_malformed_setting_is_reported_by_name(load_settings: SettingsProcess, name, value):
    result = load_settings(**{name: value})
    assert result.returncode != 0
    assert name in result.stderr.splitlines()[-1]


def test_debug_is_off_in_development_by_default(load_settings: SettingsProcess):
    code = "from django.conf import settings; print(settings.DEBUG, settings.HUEY['immediate'])"
    for variables, expected in ({}, "False"), ({"DEBUG": "1"}, "True"):
        result = load_settings(code, DJANGO_SETTINGS_MODULE="settings.dev", **variables)
        assert result.stdout.split() == [expected, "False"]


@pytest.mark.parametrize(
    ("name", "value"), [("SECRET_KEY", ""), ("REDIS_URL", "redis://127.0.0.1:1/first")]
)
def test_misconfigured_web_server_exits_with_the_reason(name: str, value: str):
    """Started as in the image: it must exit instead of restarting forever."""
    argv = [
        str(Path(sys.executable).parent / "gunicorn"),
        "--config",
        "python:api.http_server.gunicorn_config",
    ]
    argv += [
        "--bind",
        f"127.0.0.1:{find_free_port()}",
        "--workers",
        "2",
        "api.reads.app:Application",
    ]
    env = {"PATH": os.environ["PATH"]} | PRODUCTION_ENV | {name: value}
    result = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode > 0
    assert name in result.stderr
