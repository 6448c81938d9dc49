"""The report of a load: locust's page, with the verdict and a plot of latencies above it."""

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from math import ceil, log10
from pathlib import Path

from loadtests.percentiles import percentile
from loadtests.record import Request
from loadtests.schedule import READ, SIGN_UP
from loadtests.traffic import RIGHT_OUTCOMES

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 900, 260, 60, 30
_BUCKETS = 120  # points of a line, at most
_LOWEST = -1  # 0.1 ms, as a power of ten
# Name, kind, quantile and colour of each line.
_LINES = (
    ("reads p50", READ, 0.5, "#8fbfa5"),
    ("reads p99", READ, 0.99, "#2f6f4f"),
    ("reads max", READ, 1.0, "#c9a227"),
    ("sign-ups p99", SIGN_UP, 0.99, "#7a6fb0"),
)
_FAILED = "#c0392b"
_STYLE = "margin:2rem auto;max-width:60rem;font:14px system-ui,sans-serif;color:#222;"


def add_verdict(
    page: Path, title: str, text: str, requests: Sequence[Request], seconds: float
) -> None:
    """Adds a title, the verdict's text and a plot of the latencies to locust's page."""
    own = f"<h1>{escape(title)}</h1><pre>{escape(text)}</pre>{plot(requests, seconds)}"
    own = f'<section style="{_STYLE}">{own}</section>'
    page.write_text(page.read_text().replace("<body>", f"<body>{own}", 1))


def plot(requests: Sequence[Request], seconds: float) -> str:
    """Returns SVG: latencies on a logarithmic scale, and where requests failed, over the time."""
    step = max(1.0, ceil(seconds / _BUCKETS))
    buckets: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    failed = set()
    for request in requests:
        bucket = int(request.due / step)
        buckets[request.kind, bucket].append(request.ms)
        if request.outcome not in RIGHT_OUTCOMES:
            failed.add(bucket)
    slowest = max((request.ms for request in requests), default=1.0)
    top = max(1, ceil(log10(max(slowest, 0.1))))
    parts = [_grid_line(power, top) for power in range(_LOWEST, top + 1)]
    for number, (name, kind, quantile, colour) in enumerate(_LINES):
        points = [
            f"{_x((bucket + 0.5) * step, seconds):.1f},{_y(percentile(times, quantile), top):.1f}"
            for (own_kind, bucket), times in sorted(buckets.items())
            if own_kind == kind
        ]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>')
        parts.append(_text(_LEFT + 120 * number, _HEIGHT - 4, name, colour))
    for bucket in failed:
        x, width = _x(bucket * step, seconds), step / seconds * (_WIDTH - _LEFT)
        box = f'x="{x:.1f}" y="0" width="{width:.1f}" height="6"'
        parts.append(f'<rect {box} fill="{_FAILED}"/>')
    parts.append(_text(_LEFT + 120 * len(_LINES), _HEIGHT - 4, "with failures", _FAILED))
    parts.append(_text(_WIDTH - 60, _HEIGHT - 4, f"{seconds:g} s", "#555"))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{"".join(parts)}</svg>'


def _grid_line(power: int, top: int) -> str:
    y = _y(10.0**power, top)
    line = f'<path d="M{_LEFT} {y:.1f}H{_WIDTH}" stroke="#ddd"/>'
    return line + _text(0, y + 4, f"{10.0**power:g} ms", "#555")


def _text(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" font-size="12" fill="{colour}">{text}</text>'


def _x(at: float, seconds: float) -> float:
    return _LEFT + min(at / seconds, 1.0) * (_WIDTH - _LEFT)


def _y(ms: float, top: int) -> float:
    height = _HEIGHT - _BOTTOM - 10
    return 10 + height * (top - max(log10(max(ms, 0.1)), _LOWEST)) / (top - _LOWEST)
