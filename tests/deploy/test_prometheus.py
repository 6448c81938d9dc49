"""Rules and dashboards: their names are those of /metrics, and promtool accepts them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from domain.metrics.registry import REGISTRY
from tests.conftest import LONG
from tests.support.client import ApiClient, wait_until
from tests.support.promql import Selector, find_grouping_labels, find_selectors

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
METRICS, ALERTS = ROOT / "docs" / "metrics.md", ROOT / "docs" / "alerts.md"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
# Prometheus' own, with their labels.
BUILT_IN = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum")}
# `profiles verify` and `repair` make them; see test_metrics.py.
AFTER_VERIFY = {
    "rollcall_profile_verify_timestamp_seconds": ("gauge", frozenset[str]()),
    "rollcall_profile_differences": ("gauge", frozenset({"kind"})),
}
type Families = dict[str, tuple[str, frozenset[str]]]  # type and labels, by name


def load_rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


RULES = load_rules()
ALERT_RULES = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] != "row":
                yield path.name, panel


def expressions() -> dict[str, str]:
    """Returns the expressions of all rules and dashboards, by where they are."""
    rules = {rule.get("alert") or rule["record"]: rule["expr"] for rule in RULES}
    targets = {
        f"{name}: {panel['title']} {target['refId']}": target["expr"]
        for name, panel in panels()
        for target in panel["targets"]
    }
    return rules | targets


@pytest.fixture
def families(django_db_access: None, api: ApiClient) -> Families:
    """The metrics of the running service, and those that it has declared and not yet counted."""
    api.sign_up().wait_for_outbox()
    found: Families = {}
    metrics: Any = REGISTRY._collector_to_names
    for metric in metrics:
        kind = metric._type
        name = metric._name + ("_total" if kind == "counter" else "")
        found[name] = kind, frozenset(metric._labelnames)
    for family in text_string_to_metric_families(api.http.get("/metrics").text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if name in found:
            assert (family.type, found[name][1] >= labels) == (found[name][0], True)
        found.setdefault(name, (family.type, frozenset(labels)))
    return found | AFTER_VERIFY


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (
            'sum by (a, b) (rate(x_total{c="d{e}",f!~"g"}[5m] offset 1h)) / y > 0.5 and z:w',
            {("x_total", "c f"), ("y", ""), ("z:w", "")},
        ),
        ("max(x) or vector(0) unless on (a) y", {("x", ""), ("y", "")}),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket{}[$__rate_interval])))",
         {("x_bucket", "")}),
        ("time() - x > 3 * 86400 or absent(y)", {("x", ""), ("y", "")}),
    ],
)  # fmt: skip
def test_metrics_of_an_expression_are_found(expression: str, expected: set[tuple[str, str]]):
    selectors = {Selector(name, frozenset(labels.split())) for name, labels in expected}
    assert find_selectors(expression) == selectors


def test_rules_and_dashboards_use_names_and_labels_of_metrics(families: Families):
    known = BUILT_IN | {rule["record"]: set[str]() for rule in RULES if "record" in rule}
    for name, (kind, labels) in families.items():
        for suffix in SUFFIXES.get(kind, ("",)):
            known[name + suffix] = {*labels, *BUILT_IN["up"]}
            if suffix == "_bucket":
                known[name + suffix].add("le")
    wrong = []
    for place, expression in expressions().items():
        selectors = find_selectors(expression)
        assert selectors, place
        for name, labels in selectors:
            if name not in known or not labels <= known[name]:
                wrong.append((place, name, labels - known.get(name, set())))
        grouping = find_grouping_labels(expression)
        available = set[str]().union(*(known.get(name, set()) for name, _ in selectors))
        if not grouping <= available:
            wrong.append((place, "by", grouping - available))
    assert wrong == []


def test_every_metric_is_shown_or_alerted_on(families: Families):
    text = " ".join(expressions().values())
    assert [name for name in families if name not in text and name.startswith("rollcall")] == []


def test_table_of_metrics_is_complete(families: Families):
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ", METRICS.read_text(), re.MULTILINE)
    table = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert table == families


def test_each_alert_is_explained():
    sections = re.split(r"^### ", ALERTS.read_text(), flags=re.MULTILINE)[1:]
    explained = {section.partition("\n")[0]: section for section in sections}
    assert explained.keys() == ALERT_RULES.keys()
    for name, rule in ALERT_RULES.items():
        annotations = rule["annotations"]
        assert annotations.keys() == {"summary", "description", "runbook_url"}
        assert annotations["runbook_url"].endswith(f"/alerts.html#{name.lower()}")
        assert rule["labels"]["severity"] in ("critical", "warning")
        for part in ("**Cause**", "**Users see**", "**Remedy**"):
            assert part in explained[name], f"{name} lacks {part}"


def test_dashboards_are_provisioned():
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    uid = sources["datasources"][0]["uid"]
    assert [path.stem for path in DASHBOARDS] == ["background-work", "service"]
    uids = set()
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        uids.add(dashboard["uid"])
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
    assert len(uids) == len(DASHBOARDS)
    for _, panel in panels():
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {uid}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def promtool(*arguments: str | Path) -> None:
    if not (program := shutil.which("promtool")):
        pytest.skip("promtool is not installed (on Debian: apt-get install prometheus)")
    result = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_accepts_configuration_and_rules():
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", *(PROMETHEUS / "rules").glob("*.yml"))


def test_promtool_accepts_the_expressions_of_the_dashboards(tmp_path: Path):
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions().values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("name", ["rules_test.yml", "slow_rules_test.yml"])
def test_rules_fire_when_they_should_and_not_else(name: str):
    if name.startswith("slow") and not LONG:
        pytest.skip("rules over days are evaluated with LONG=1")
    promtool("test", "rules", PROMETHEUS / "tests" / name)


def test_promtool_accepts_the_metrics(api: ApiClient):
    program = shutil.which("promtool")
    if not program:
        pytest.skip("promtool is not installed (on Debian: apt-get install prometheus)")
    text = wait_until(lambda: api.http.get("/metrics")).text
    result = subprocess.run(
        [program, "check", "metrics"],
        input=text, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
