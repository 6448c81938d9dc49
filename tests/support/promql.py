"""What PromQL expressions refer to: metrics, and their labels."""

import re
from typing import NamedTuple

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(
    r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", re.IGNORECASE
)
_SELECTOR = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?(?!\s*\(|[\w:])")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*[=!~]")
# Every other name that is not called, as a function is, is a metric.
_WORDS = frozenset(
    [
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "inf",
        "nan",
        "atan2",
        "start",
        "end",
        "by",
        "without",
        "on",
    ]
)


class Selector(NamedTuple):
    """A metric, and the labels that it is selected by."""

    metric: str
    labels: frozenset[str]


def find_selectors(expression: str) -> set[Selector]:
    """Returns the metrics of an expression, each with its labels."""
    text = _GROUPING.sub(" ", _RANGE.sub(" ", _STRING.sub('""', expression)))
    found = set()
    for match in _SELECTOR.finditer(text):
        name, labels = match.groups()
        if name.lower() not in _WORDS:
            found.add(Selector(name, frozenset(_LABEL.findall(labels or ""))))
    return found


def find_grouping_labels(expression: str) -> set[str]:
    """Returns the labels that an expression groups by."""
    groups = _GROUPING.findall(_STRING.sub('""', expression))
    return {label.strip() for _, labels in groups for label in labels.split(",") if label.strip()}
