"""All metrics of the read and the write process, declared once.

In processes that gunicorn starts they are shared through files (see `multiprocess`), elsewhere they
are kept in memory. Names follow Prometheus' conventions: base units, `_total` for counters.
"""

import os
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, values

from api.observability.multiprocess import VARIABLE, get_slot

if VARIABLE in os.environ:  # before the first metric is declared
    values.ValueClass = values.MultiProcessValue(get_slot)  # type: ignore[no-untyped-call]  # no types

REGISTRY = CollectorRegistry()

# Seconds: the upper bounds of the buckets of durations.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

_counter = partial(Counter, registry=REGISTRY)

HTTP_REQUEST_DURATION = Histogram(
    "rollcall_http_request_duration_seconds",
    "Duration of HTTP requests, by method, route and status.",
    ["method", "route", "status"],
    buckets=BUCKETS,
    registry=REGISTRY,
)
HTTP_REQUESTS_REJECTED = _counter(
    "rollcall_http_requests_rejected_total",
    "Requests refused before they were routed: malformed, or the write process is overloaded.",
    ["reason"],
)
PROFILE_CACHE_MISSES = _counter(
    "rollcall_profile_cache_misses_total",
    "Reads that found no profile in Redis, or one older than their token.",
)
PROFILE_BACKFILL_REQUESTS = _counter(
    "rollcall_profile_backfill_requests_total",
    "Missing profiles that the relay was asked to write.",
)
REDIS_CONNECTS = _counter(
    "rollcall_redis_connects_total",
    "Connections that the read process has opened to Redis.",
    ["redis"],
)
REDIS_DISCONNECTS = _counter(
    "rollcall_redis_disconnects_total",
    "Connections to Redis that the read process has lost.",
    ["redis"],
)
REDIS_CONNECT_ERRORS = _counter(
    "rollcall_redis_connect_errors_total",
    "Failed attempts of the read process to connect to Redis.",
    ["redis"],
)
REDIS_CALLBACK_ERRORS = _counter(
    "rollcall_redis_callback_errors_total",
    "Failures of the code that handles a reply of Redis. Each one is a bug.",
    ["redis"],
)
RATE_LIMITER_ERRORS = _counter(
    "rollcall_rate_limiter_errors_total",
    "Requests that passed uncounted, because Redis was unavailable.",
)
RATE_LIMITED_REQUESTS = _counter(
    "rollcall_rate_limited_requests_total",
    "Requests refused with 429, by limit.",
    ["limit"],
)
PROCESS_CPU = _counter(
    "process_cpu_seconds_total",
    "CPU time used by the processes of a component (read or write).",
    ["component"],
)
