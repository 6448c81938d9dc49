"""Percentiles of latencies."""

from collections.abc import Sequence
from math import ceil


def percentile(times: Sequence[float], quantile: float) -> float:
    """Returns the quantile (0 < quantile <= 1) of the times by the nearest-rank method."""
    return sorted(times)[ceil(quantile * len(times)) - 1]
