"""The HTML report: a table of all seeds, and for each of them a time line of reads and writes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from loadtests.faults.ledger import READ, Entry
from loadtests.faults.run import Report
from loadtests.faults.summary import describe_failure, table, table_of_faults

_STEP = 0.1  # seconds
_WIDTH, _ROW, _LABELS = 1100, 90, 40
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
    """Returns SVG, of the time in which clients were active."""
    end = report.traffic_end
    entries = [entry for entry in report.ledger.entries if entry.answered <= end]
    start = min((entry.sent for entry in entries), default=0.0)
    scale = _WIDTH / max(1.0, end - start)  # per second
    boxes, names = [], []
    for number, window in enumerate(report.windows):
        x, width = (window.start - start) * scale, (min(window.end, end) - window.start) * scale
        box = f'x="{x:.1f}" width="{width:.1f}" height="{2 * _ROW + _LABELS}"'
        boxes.append(f'<rect {box} fill="{_FAULT}"><title>{escape(window.name)}</title></rect>')
        y = 11 + 12 * (number % 3)
        names.append(f'<text x="{x:.1f}" y="{y}" font-size="10">{escape(window.name)}</text>')
    reads = [entry for entry in entries if entry.kind == READ]
    writes = [entry for entry in entries if entry.kind != READ]
    bars = [*_bars(reads, start, scale, _LABELS), *_bars(writes, start, scale, _LABELS + _ROW)]
    bottom = 2 * _ROW + _LABELS + 12
    names.append(f'<text x="{_WIDTH - 40}" y="{bottom}" font-size="11">{end - start:.0f} s</text>')
    box = f'viewBox="0 0 {_WIDTH} {bottom + 2}" role="img"'
    parts = "".join([*boxes, *bars, *names])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{parts}</svg>'


def _bars(entries: Iterable[Entry], start: float, scale: float, top: int) -> Iterator[str]:
    """Yields a bar for each step, of the numbers of answers by their colours."""
    counts = Counter((int((e.answered - start) / _STEP), _colour(e)) for e in entries)
    totals: Counter[int] = Counter()
    for (bucket, _), number in counts.items():
        totals[bucket] += number
    unit = (_ROW - 4) / max(totals.values(), default=1)
    offsets: Counter[int] = Counter()
    width = max(1.0, _STEP * scale)
    for colour in (_OK, _UNAVAILABLE, _OTHER):
        for bucket in sorted(totals):
            if not (number := counts[bucket, colour]):
                continue
            offsets[bucket] += number
            x, y = bucket * _STEP * scale, top + _ROW - offsets[bucket] * unit
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{number * unit:.1f}"'
            yield f'<rect {box} fill="{colour}"/>'


def _colour(entry: Entry) -> str:
    if entry.status == 503:
        return _UNAVAILABLE
    return _OK if entry.succeeded or entry.status == 401 else _OTHER
