"""The chart: what a read costs each server, as an SVG without any library."""

from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 190, 150
_BAR, _GAP, _HEAD, _TITLE = 18, 6, 34, 40
_COLOURS = {True: "#2f6f4f", False: "#9aa7a0"}


def svg(title: str, groups: dict[str, dict[str, float]]) -> str:
    """Bars, a group of them under each heading: name to µs. Rollcall's own have a colour."""
    most = max(us for bars in groups.values() for us in bars.values())
    parts, y = [f'<text x="0" y="18" class="title">{escape(title)}</text>'], _TITLE
    for heading, bars in groups.items():
        parts.append(f'<text x="0" y="{y + 14}" class="heading">{escape(heading)}</text>')
        y += _HEAD - _GAP
        for name, us in bars.items():
            parts += _bar(name, us, us / most, us / bars["Rollcall"], y)
            y += _BAR + _GAP
        y += _GAP
    style = (
        "text{font:13px system-ui,sans-serif;fill:#555}"
        ".title{font-size:15px;font-weight:600}.heading{font-weight:600}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">\n'
        f"<style>{style}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(name: str, us: float, length: float, times: float, y: int) -> list[str]:
    width = (_WIDTH - _LEFT - _RIGHT) * length
    colour = _COLOURS[name == "Rollcall"]
    beside = f"{us:.0f} µs" + ("" if name == "Rollcall" else f", {times:.1f} times")
    text = y + _BAR - 5
    return [
        f'<text x="{_LEFT - 8}" y="{text}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{_LEFT + width + 8:.1f}" y="{text}">{beside}</text>',
    ]
