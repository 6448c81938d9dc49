"""Draws the bench's chart as SVG: the CPU of a read, of each server and its Redis."""

from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 190, 190
_BAR, _GAP, _HEAD, _TITLE = 18, 6, 34, 40
# Colours of server and Redis; only Rollcall's are saturated.
_COLOURS = {True: ("#2f6f4f", "#8fbfa5"), False: ("#9aa7a0", "#cdd5d0")}


def svg(title: str, groups: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Returns stacked bars, grouped by heading: µs of server and Redis by name."""
    longest = max(sum(us) for bars in groups.values() for us in bars.values())
    parts, y = [f'<text x="0" y="18" class="title">{escape(title)}</text>'], _TITLE
    for heading, bars in groups.items():
        parts.append(f'<text x="0" y="{y + 14}" class="heading">{escape(heading)}</text>')
        y += _HEAD - _GAP
        for name, us in bars.items():
            parts += _bar(name, us, longest, sum(us) / sum(bars["Rollcall"]), y)
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


def _bar(name: str, us: tuple[float, float], longest: float, ratio: float, y: int) -> list[str]:
    server, redis = ((_WIDTH - _LEFT - _RIGHT) * part / longest for part in us)
    of_server, of_redis = _COLOURS[name == "Rollcall"]
    label = f"{us[0]:.1f} + {us[1]:.1f} µs"
    if name != "Rollcall":
        label += f", {ratio:.1f} times"
    text, middle, end = y + _BAR - 5, _LEFT + server, _LEFT + server + redis
    size = f'y="{y}" height="{_BAR}"'
    return [
        f'<text x="{_LEFT - 8}" y="{text}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" width="{server:.1f}" {size} fill="{of_server}"/>',
        f'<rect x="{middle:.1f}" width="{redis:.1f}" {size} fill="{of_redis}"/>',
        f'<text x="{end + 8:.1f}" y="{text}">{label}</text>',
    ]
