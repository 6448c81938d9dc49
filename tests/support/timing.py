"""Compares by time what a client must not distinguish: a rank sum test of interleaved requests.

The arms of a comparison are measured in random order in each round. So whatever else the machine
does disturbs them alike, and only a difference between the arms makes them distinguishable.
"""

import http.client
import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

# z exceeds it by chance with a probability of 5.7e-7 (two-sided, normal approximation): once in
# 170,000 runs of ten comparisons. Rounds that are slow for all arms make it smaller still.
MAX_Z = 5.0
DETECTABLE = 0.0003  # seconds; see `has_power`
# They differ between any two responses: times, ids, and a counter of the client's network.
_VARYING_HEADERS = {"date", "x-request-id", "ratelimit"}
_VARYING_FIELDS = {"id", "token", "challenge", "request_id", "email", "phone"}
_TIMES = {"expires_at", "resend_available_at"}


@dataclass(frozen=True, slots=True)
class Response:
    """What a client sees of a response, and the seconds that it took."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]
    duration: float

    def shape(self) -> str:
        """Returns what must not depend on the address: all but ids, tokens and times, of which only
        the length.
        """
        headers = {k: k in _VARYING_HEADERS or value for k, value in self.headers.items()}
        return repr((self.status, sorted(headers.items()), _shape(self.body)))


def _shape(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    varying = _VARYING_FIELDS | _TIMES
    return {k: len(item) if k in varying else _shape(item) for k, item in value.items()}


class Connection:
    """A connection to the unix socket of a write process, which is kept open: no proxy and no
    handshake add noise. All requests come from one network.
    """

    def __init__(self, path: Path, network: str) -> None:
        self._http = http.client.HTTPConnection("localhost")
        self._http.sock = socket.socket(socket.AF_UNIX)
        self._http.sock.settimeout(20)
        self._http.sock.connect(str(path))
        self._headers = {"Content-Type": "application/json", "X-Forwarded-For": network}

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        """Sends a request, and measures until the whole response is there."""
        content = b"" if body is None else json.dumps(body).encode()
        all_headers = self._headers | headers
        started_at = time.perf_counter()
        self._http.request("POST", f"/api/v1/{path}", content, all_headers)
        response = self._http.getresponse()
        text = response.read()
        duration = time.perf_counter() - started_at
        names = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, names, json.loads(text), duration)

    def close(self) -> None:
        self._http.close()


def rank_sum_z(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns the z value of the Mann-Whitney rank sum test; positive if `first` is slower."""
    ranks = {value: rank for rank, value in enumerate(sorted([*first, *second]), 1)}
    n, m = len(first), len(second)
    u = sum(ranks[value] for value in first) - n * (n + 1) / 2
    return float((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)


def has_power(first: Sequence[float], second: Sequence[float]) -> bool:
    """Returns whether the test would detect that each of `first` took `DETECTABLE` longer.

    Where the machine is too noisy for so few requests, then 10 / sqrt(n) of the interquartile range
    longer: z is about 8 by that, whatever the noise.
    """
    lower, _, upper = quantiles(second, n=4)
    delay = max(DETECTABLE, 10 / len(first) ** 0.5 * (upper - lower))
    return rank_sum_z([each + delay for each in first], second) > MAX_Z
