"""compose.yaml, and the settings in .env.example."""

import re
from typing import Any

import pytest
import yaml

from tests.deploy.containers import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ["migrate", "read", "write", "worker", "relay"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
)


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_service_has_no_privileges(service: dict[str, Any]):
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"prometheus"}))
def test_root_is_read_only(name: str):
    assert SERVICES[name]["read_only"]


@pytest.mark.parametrize("name", OWN)
def test_own_service_has_limits_and_a_writable_tmp(name: str):
    service = SERVICES[name]
    assert service["tmpfs"] == ["/tmp"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["healthcheck" if name != "read" else "depends_on"]


def test_processes_wait_for_what_they_need():
    for name in ("write", "worker", "relay"):
        assert SERVICES[name]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }
    for name in ("postgres", "profiles", "queue"):
        assert SERVICES[name]["healthcheck"]["test"]


def test_published_ports_are_on_this_machine_only():
    """TLS ends in a proxy; what comes in beside it could forge its headers."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_example_and_compose_have_every_required_setting():
    (required,) = re.findall(
        r"^require\((.+?)\)", (ROOT / "settings/prod.py").read_text(), re.MULTILINE | re.DOTALL
    )
    given = EXAMPLE.keys() | SERVICES["write"]["environment"].keys()
    assert set(re.findall(r'"(\w+)"', required)) <= given


def test_no_secret_has_a_value():
    secrets = [name for name in EXAMPLE if re.search("KEY|SECRET|PASSWORD|TOKEN", name)]
    assert len(secrets) == 7
    assert {EXAMPLE[name] for name in secrets} == {""}
    text = (ROOT / "compose.yaml").read_text()
    assert "${POSTGRES_PASSWORD:?}" in text
    assert not re.search(r"(?i)(password|secret|token|key): (?!\$\{)[^\s{\[]+$", text)


def test_mounted_files_exist():
    volumes = [v for service in SERVICES.values() for v in service.get("volumes", [])]
    for volume in volumes:
        source = volume.partition(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]
