"""A real Prometheus with the shipped configuration and rules, of which only times differ."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from local.processes import Process
from local.tcp_ports import HOST, find_free_port
from tests.support.client import wait_until

_SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")


class Prometheus:
    """The server at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> set[str]:
        """Returns the names of the alerts that fire now."""
        alerts = self._get("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def query(self, expression: str) -> list[Any]:
        """Returns the samples of an expression now."""
        result: list[Any] = self._get("query", query=expression)["result"]
        return result

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        response = httpx.get(f"{self._url}/api/v1/{path}", params=params, timeout=20)
        data: dict[str, Any] = response.json()["data"]
        return data

    def is_ready(self) -> bool:
        """Returns whether it responds."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self._url}/-/ready").is_success
        return False


@contextmanager
def run_prometheus(folder: Path, target: str, factor: float) -> Iterator[Prometheus]:
    """Runs Prometheus on `target` (host:port), with the shipped rules and configuration.

    All durations (how long an alert must hold, ranges, intervals) are multiplied by `factor`; an
    interval is a second at least. Thresholds are not changed.
    """
    config = yaml.safe_load((_SHIPPED / "prometheus.yml").read_text())
    for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        seconds = max(1.0, int(config["global"][name].rstrip("s")) * factor)
        config["global"][name] = _format(seconds)
    (job,) = config["scrape_configs"]
    del job["authorization"]
    job["static_configs"] = [{"targets": [target]}]

    def scale_range(match: re.Match[str]) -> str:
        return f"[{_scale(match[1] + match[2], factor)}]"

    (folder / "rules").mkdir(parents=True)
    for file in (_SHIPPED / "rules").glob("*.yml"):
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule["expr"] = _RANGE.sub(scale_range, rule["expr"])
                if "for" in rule:
                    rule["for"] = _scale(rule["for"], factor)
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"{HOST}:{find_free_port()}"
    argv = [shutil.which("prometheus") or "", f"--config.file={folder}/prometheus.yml"]
    argv += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with Process("prometheus", argv, folder / "prometheus.log") as process:
        prometheus = Prometheus(f"http://{address}")
        wait_until(lambda: prometheus.is_ready() or process.wait())
        assert process.is_running, process.log_tail()
        yield prometheus


def _scale(duration: str, factor: float) -> str:
    return _format(int(duration[:-1]) * _SECONDS[duration[-1]] * factor)


def _format(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def wait_for_alerts(
    prometheus: Prometheus,
    names: set[str],
    cause: AbstractContextManager[Callable[[], object]],
    timeout: float,
) -> dict[str, float]:
    """Makes `cause` happen and repeats what it yields, until all these alerts fire; returns after
    how many seconds each did.

    Before that it waits until those have ended that an earlier cause had fire.
    """
    wait_until(lambda: not names & prometheus.firing(), timeout)
    started_at, seconds = time.monotonic(), dict[str, float]()
    with cause as act:
        while missing := names - seconds.keys():
            act()
            now = time.monotonic() - started_at
            seconds |= dict.fromkeys(prometheus.firing() & missing, now)
            assert now < timeout, f"{missing} did not fire within {timeout} s"
            time.sleep(0.5)
    return seconds
