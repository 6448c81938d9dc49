"""The image and the orchestrators' files."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = [
    each
    for each in yaml.safe_load_all((ROOT / "deploy/kubernetes/services.yaml").read_text())
    if each["kind"] == "Deployment"
]


def test_user_of_the_image_is_a_number():
    """Kubernetes refuses a name with `runAsNonRoot`: it cannot know that the name is not root's."""
    (user,) = re.findall(r"^USER (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each["metadata"]["name"])
def test_pods_do_not_run_as_root(deployment):
    assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]


def test_compose_states_the_number_of_proxies():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name in ("migrate", "read", "write", "worker", "relay"):
        assert services[name]["environment"]["TRUSTED_PROXIES"] == 1
