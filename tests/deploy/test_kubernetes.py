"""The manifests of deploy/kubernetes/, by Kubernetes' schemas and by what the code needs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.containers import ROOT

FOLDER = ROOT / "deploy/kubernetes"
EXAMPLE = FOLDER / "overlays/example"
VERSION = "1.34"
# Custom resources: their schemas belong to other projects.
CUSTOM = {"HTTPRoute", "PodMonitor", "ServiceMonitor"}
KUSTOMIZE = next(
    (argv for argv in (["kustomize", "build"], ["kubectl", "kustomize"]) if shutil.which(argv[0])),
    None,
)


def load_resources(*patterns: str) -> Iterator[dict[str, Any]]:
    """Yields the resources in files, without kustomize's own."""
    for pattern in patterns:
        for file in sorted(FOLDER.glob(pattern)):
            if file.name != "kustomization.yaml":
                yield from yaml.safe_load_all(file.read_text())


RESOURCES = list(load_resources("base/*", "components/*/*", "overlays/*/*"))
WORKLOADS = [each for each in RESOURCES if each["kind"] in ("Deployment", "Job")]
BY_NAME = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in WORKLOADS}


def read_graceful_timeout(folder: str) -> int:
    """Returns gunicorn's `graceful_timeout`, in seconds.

    From the source: imported here, the module would share metrics and read this process' settings.
    """
    source = (ROOT / folder / "gunicorn_config.py").read_text()
    match = re.search(r"^graceful_timeout = .*?(\d+)", source, re.MULTILINE)
    assert match
    return int(match[1])


def label(resource: dict[str, Any]) -> str:
    return f"{resource['kind']}-{resource['metadata']['name']}"


def check_schema(resource: dict[str, Any]) -> None:
    # Imported here: it makes forty parsers, for two seconds, in each process that collects tests.
    from kubernetes_validate import validate

    if resource["kind"] not in CUSTOM:
        validate(resource, VERSION, strict=True)


@pytest.mark.parametrize("resource", RESOURCES, ids=label)
def test_resource_is_valid(resource: dict[str, Any]):
    check_schema(resource)


@pytest.mark.skipif(KUSTOMIZE is None, reason="needs kustomize or kubectl")
def test_example_is_rendered_to_valid_resources():
    assert KUSTOMIZE
    result = subprocess.run([*KUSTOMIZE, EXAMPLE], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    rendered = [each for each in yaml.safe_load_all(result.stdout) if each]
    assert len(rendered) == len(RESOURCES) + 1  # the ConfigMap
    for resource in rendered:
        check_schema(resource)
    assert "image: rollcall\n" not in result.stdout


@pytest.mark.parametrize("folder", ["base", "components/monitoring", "overlays/example"])
def test_kustomization_names_every_file(folder: str):
    kustomization = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())
    resources = {each for each in kustomization["resources"] if not each.startswith("../")}
    files = {file.name for file in (FOLDER / folder).iterdir()} - {"kustomization.yaml"}
    assert resources == files


@pytest.mark.parametrize("name", BY_NAME)
def test_pods_meet_the_restricted_security_standard(name: str):
    """Pod Security Standards, Restricted, and a read-only root with a writable /tmp."""
    pod = BY_NAME[name]
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] == 10001
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in pod["containers"] + pod.get("initContainers", []):
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
        assert container["resources"]["limits"].keys() == {"memory"}
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]


@pytest.mark.parametrize("name", ["rollcall-read", "rollcall-write", "rollcall-worker"])
def test_grace_period_is_longer_than_a_process_takes_to_stop(name: str):
    pod = BY_NAME[name]
    (container,) = pod["containers"]
    env = {each["name"]: each["value"] for each in container.get("env", [])}
    drain = int(env.get("SHUTDOWN_DELAY", 0))
    drain += container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    graceful = {
        "rollcall-read": read_graceful_timeout("api/http_server"),
        "rollcall-write": read_graceful_timeout("api/writes"),
        "rollcall-worker": 20,  # Huey's shutdown_timeout
    }[name]
    assert drain == (0 if name == "rollcall-worker" else 5)
    assert pod["terminationGracePeriodSeconds"] >= drain + graceful + 5


@pytest.mark.parametrize("name", ["rollcall-write", "rollcall-worker", "rollcall-relay"])
def test_pods_wait_for_the_migrations(name: str):
    (container,) = BY_NAME[name]["initContainers"]
    assert container["args"] == [*BY_NAME["rollcall-migrate"]["containers"][0]["args"], "--check"]


def test_reads_have_the_most_cpu():
    cpu = {
        name: int(pod["containers"][0]["resources"]["requests"]["cpu"].removesuffix("m"))
        for name, pod in BY_NAME.items()
    }
    assert cpu["rollcall-read"] >= 4 * cpu["rollcall-write"] > cpu["rollcall-worker"]


def test_example_names_every_required_setting():
    (required,) = re.findall(
        r"^require\((.+?)\)", (ROOT / "settings/prod.py").read_text(), re.MULTILINE | re.DOTALL
    )
    text = (EXAMPLE / "kustomization.yaml").read_text()
    for name in re.findall(r'"(\w+)"', required):
        assert re.search(rf"\b{name}\b", text), name


def test_http_route_sends_reads_to_the_read_service():
    (route,) = (each for each in RESOURCES if each["kind"] == "HTTPRoute")
    reads, rest = route["spec"]["rules"]
    profile, introspection = "/api/v1/profile", "/api/v1/introspect"
    assert {(m.get("method"), m["path"]["value"].rstrip("/")) for m in reads["matches"]} == {
        *((method, profile) for method in ("GET", "HEAD", "OPTIONS")),
        (None, introspection),
    }
    assert len(reads["matches"]) == 8  # with and without a slash
    assert rest["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    backends = [(ref["name"], ref["port"]) for rule in (reads, rest) for ref in rule["backendRefs"]]
    services = {
        each["metadata"]["name"]: each["spec"]["ports"][0]["port"]
        for each in RESOURCES
        if each["kind"] == "Service"
    }
    assert backends == list(services.items())
