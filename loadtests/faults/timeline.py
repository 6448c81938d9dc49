"""The HTML report: a table of all seeds, and for each of them a time line of reads and writes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from loadtests.faults.ledger import READ, UNANSWERED, Entry
from loadtests.faults.run import Report
from loadtests.faults.summary import describe_failure, table, table_of_faults

_STEP = 0.1  # seconds
_WIDTH, _ROW, _LABELS = 1100, 90, 28
_OK, _UNAVAILABLE, _OTHER = "#5a9e78", "#c9a227", "#c0392b"
_FAULT = "#dde3f0"
_STYLE = "body{margin:2rem auto;max-width:72rem;font:14px system-ui,sans-serif;color:#222}"


def render_page(topology: str, reports: Sequence[Report]) -> str:
    """Returns the page."""
    tables = escape(f"{table(reports)}\n\n{table_of_faults(reports)}")
    parts = [f"<h1>make faults TOPOLOGY={topology}</h1><pre>{tables}</pre>"]
    parts.append(
        "<p>Answers in each tenth of a second, reads above and writes below: "
        f'<b style="color:{_OK}">as when all is well</b>, <b style="color:{_UNAVAILABLE}">503</b>,'
        f' <b style="color:{_OTHER}">no answer or another status</b>.'
        " Grey: a part is broken or the service heals.</p>"
    )
    for report in reports:
        parts.append(f"<h2>Seed {report.seed}</h2>{_draw(report)}")
        if report.violations:
            command = f"make faults TOPOLOGY={topology} SEED={report.seed}"
            parts.append(f"<pre>{escape(describe_failure(report, command))}</pre>")
    head = f'<!doctype html><meta charset="utf-8"><title>faults</title><style>{_STYLE}</style>'
    return head + "".join(parts)


def _draw(report: Report) -> str:
    """Returns SVG."""
    entries = [entry for entry in report.ledger.entries if entry.answered != UNANSWERED]
    seconds = max((entry.answered for entry in entries), default=1.0)
    seconds = min(seconds, report.traffic_end)
    parts = []
    for number, window in enumerate(report.windows):
        left, right = _x(window.start, seconds), _x(min(window.end, seconds), seconds)
        box = f'x="{left:.1f}" y="0" width="{right - left:.1f}" height="{2 * _ROW + _LABELS}"'
        parts.append(f'<rect {box} fill="{_FAULT}"><title>{escape(window.name)}</title></rect>')
        y = 11 + 12 * (number % 2)
        parts.append(f'<text x="{left:.1f}" y="{y}" font-size="10">{escape(window.name)}</text>')
    reads = [entry for entry in entries if entry.kind == READ]
    writes = [entry for entry in entries if entry.kind != READ]
    parts += _bars(reads, seconds, _LABELS)
    parts += _bars(writes, seconds, _LABELS + _ROW)
    box = f'viewBox="0 0 {_WIDTH} {2 * _ROW + _LABELS + 14}" role="img"'
    end = f'<text x="{_WIDTH - 60}" y="{2 * _ROW + _LABELS + 12}" font-size="11">'
    end += f"{seconds:.0f} s</text>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{"".join(parts)}{end}</svg>'


def _bars(entries: Iterable[Entry], seconds: float, top: int) -> Iterator[str]:
    """Yields a bar for each step, of the numbers of answers by their colours."""
    counts = Counter((int(entry.answered / _STEP), _colour(entry)) for entry in entries)
    totals: Counter[int] = Counter()
    for (bucket, _), number in counts.items():
        totals[bucket] += number
    scale = (_ROW - 4) / max(totals.values(), default=1)
    offsets: Counter[int] = Counter()
    width = max(1.0, _STEP / seconds * _WIDTH)
    for colour in (_OK, _UNAVAILABLE, _OTHER):
        for bucket in sorted(totals):
            if not (number := counts[bucket, colour]):
                continue
            offsets[bucket] += number
            y = top + _ROW - offsets[bucket] * scale
            x, height = _x(bucket * _STEP, seconds), number * scale
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
            yield f'<rect {box} fill="{colour}"/>'


def _colour(entry: Entry) -> str:
    if entry.status == 503:
        return _UNAVAILABLE
    return _OK if entry.succeeded or entry.status == 401 else _OTHER


def _x(at: float, seconds: float) -> float:
    return at / seconds * _WIDTH
