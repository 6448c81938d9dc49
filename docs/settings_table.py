"""Writes the table of settings into docs/settings.md, from the modules that read them:

    python -m docs.settings_table

A row is a call that reads an environment variable, with its default, and the comment beside or
above it.
"""

import ast
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from settings.rate_limits import PRODUCTION_LIMITS, SITE_FACTOR

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"
_MODULES = (
    "environment.py",
    "base.py",
    "database.py",
    "background_work.py",
    "people.py",
    "messages.py",
    "events.py",
)
_NAME = re.compile(r"[A-Z][A-Z0-9_]{4,}")
_BEGIN, _END = "<!-- settings -->\n", "<!-- end of settings -->\n"


class Setting(NamedTuple):
    """One environment variable: `default` as text, empty if there is none."""

    name: str
    default: str
    description: str


def render() -> str:
    """Returns the table in Markdown."""
    required = _required_in_production()
    rows = [
        f"| `{each.name}` | {_default(each, required)} | {each.description} |"
        for each in settings()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows, ""])


def _default(setting: Setting, required: dict[str, str]) -> str:
    if setting.name in required:
        return f"**required**{required[setting.name]}"
    return f"`{setting.default}`" if setting.default else ""


def settings() -> Iterator[Setting]:
    """Yields all settings, in the order of the modules."""
    seen = set()
    for module in _MODULES:
        source = (ROOT / "settings" / module).read_text()
        lines = source.splitlines()
        for statement in ast.parse(source).body:
            for name, default in _variables(statement):
                if name not in seen:
                    seen.add(name)
                    yield Setting(name, default, _comment(lines, statement))
    for kind, limit in PRODUCTION_LIMITS.items():
        counted = f"requests of one network to routes of the kind {kind}"
        if kind == "anonymous":
            counted = "requests of all clients without a session together"
        yield Setting(f"RATE_LIMIT_{kind.upper().replace('-', '_')}", limit, counted)
    factor = "times as many requests as one network an IPv6 /48 may send, which may be one customer"
    yield Setting("RATE_LIMIT_SITE_FACTOR", str(SITE_FACTOR), factor)


def _variables(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yields the environment variables that a statement of a module reads, and their defaults."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return
    for call in ast.walk(statement):
        if isinstance(call, ast.Call):
            for name, default in zip_longest(call.args, call.args[1:]):
                if isinstance(name, ast.Constant) and _NAME.fullmatch(str(name.value)):
                    yield str(name.value), _evaluate(default)
                    break


def _evaluate(node: ast.expr | None) -> str:
    if node is None:
        return ""
    try:
        value = eval(ast.unparse(node), {"__builtins__": {}})  # noqa: S307  # arithmetic of our own
    except NameError:
        return ""  # made from another setting: the description says how
    return "" if value in (None, "") else str(value)


def _comment(lines: list[str], statement: ast.stmt) -> str:
    """Returns the comment that ends a statement, or else those above it, as one line."""
    end = statement.end_lineno or statement.lineno
    if match := re.search(r"\s#\s(?!noqa|type:)(.*)$", lines[end - 1]):
        return match[1]
    above: list[str] = []
    for line in reversed(lines[: statement.lineno - 1]):
        if not line.startswith("# ") or line.startswith("# ---"):
            break
        above.insert(0, line[2:])
    return " ".join(above)


def _required_in_production() -> dict[str, str]:
    """Returns the names of required settings, and of which provider alone, if so."""
    names = {name: "" for call in _calls("prod.py") for name in _constants(call.args)}
    for statement in ast.parse((ROOT / "settings" / "messages.py").read_text()).body:
        if (
            isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) == "PROVIDER_SETTINGS"
        ):
            for provider, required in ast.literal_eval(statement.value).items():
                for name in required:
                    others = f"{names[name]}, " if names.get(name) else " for "
                    names[name] = f"{others}`{provider}`"
    return names


def _calls(module: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse((ROOT / "settings" / module).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "require":
            yield node


def _constants(nodes: list[ast.expr]) -> Iterator[str]:
    yield from (str(each.value) for each in nodes if isinstance(each, ast.Constant))


def main() -> None:
    """Replaces the table in docs/settings.md."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}{render()}{_END}{after}")


if __name__ == "__main__":
    main()
