"""All metrics that processes count themselves, declared once; docs/metrics.md lists them.

In read and write processes, workers and the relay they are shared through files (see
`multiprocess`), elsewhere they are kept in memory. Names follow Prometheus' conventions: base
units, `_total` for counters. The values of each label are bounded: never what a client has sent.
"""

import os
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

from domain.metrics.multiprocess import VARIABLE, get_slot

if VARIABLE in os.environ:  # before the first metric is declared
    values.ValueClass = values.MultiProcessValue(get_slot)  # type: ignore[no-untyped-call]  # no types

REGISTRY = CollectorRegistry()

# Seconds: the upper bounds of the buckets of durations. The objective of reads is 0.01.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

# Seconds from a commit until its message is handed over. The objective is 30.
MESSAGE_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

_counter = partial(Counter, registry=REGISTRY)
_gauge = partial(Gauge, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY)

HTTP_REQUEST_DURATION = _histogram(
    "rollcall_http_request_duration_seconds",
    "Duration of HTTP requests, by method, route and status; of profile reads and introspection"
    " also by source: client_cache, redis, backfill (after a miss), batch (many tokens), or none"
    " (rejected before it was asked).",
    ["method", "route", "status", "source"],
    buckets=BUCKETS,
)
HTTP_REQUESTS_REJECTED = _counter(
    "rollcall_http_requests_rejected_total",
    "Requests refused before they were routed, by reason: bad_request, request_timeout or"
    " body_too_large; memory_limit (bytes buffered for all clients of a read process);"
    " overloaded (too many wait for the write process), upstream_hung, upstream_timeout or"
    " upstream_unavailable.",
    ["reason"],
)
READ_PROCESSES = _gauge(
    "rollcall_read_processes",
    "Read processes that run, by what they know of the profile Redis: ok, unavailable, stale or"
    " misconfigured.",
    ["status"],
    multiprocess_mode="livesum",
)
REDIS_PRIMARIES = _gauge(
    "rollcall_redis_primaries",
    "Primaries of the profile Redis, by the same statuses, each counted by each read process.",
    ["status"],
    multiprocess_mode="livesum",
)
PROXY_REQUESTS = _gauge(
    "rollcall_proxy_requests",
    "Requests that the read processes have admitted for the write process: in_flight or waiting.",
    ["state"],
    multiprocess_mode="livesum",
)
PROFILE_CACHE_MISSES = _counter(
    "rollcall_profile_cache_misses_total",
    "Reads that found no profile in Redis, or one older than their token.",
)
PROFILE_BACKFILL_REQUESTS = _counter(
    "rollcall_profile_backfill_requests_total",
    "Missing profiles that the relay was asked to write.",
)
PROFILE_BACKFILLS = _counter(
    "rollcall_profile_backfills_total",
    "Missing profiles that the relay has written.",
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
CIRCUIT_BREAKERS_OPEN = _gauge(
    "rollcall_circuit_breakers_open",
    "Processes that call a server no more, because it did not respond in time.",
    ["server"],
    multiprocess_mode="livesum",
)
CIRCUIT_BREAKER_OPENINGS = _counter(
    "rollcall_circuit_breaker_openings_total",
    "How often a process has found that a server does not respond in time.",
    ["server"],
)
OUTBOX_ATTEMPTS = _counter(
    "rollcall_outbox_attempts_total",
    "Attempts at outbox entries, by outcome: done, failed, discarded, retried or postponed.",
    ["kind", "outcome"],
)
MESSAGE_HANDOVER_DURATION = _histogram(
    "rollcall_message_handover_duration_seconds",
    "Time from the commit until a provider has accepted or refused a message; those that waited"
    " for a quota, a confirmation or a key are left out.",
    ["kind"],
    buckets=MESSAGE_BUCKETS,
)
EVENT_ATTEMPTS = _counter(
    "rollcall_event_attempts_total",
    "Attempts to deliver an event, by outcome: delivered, retried or failed (given up).",
    ["outcome"],
)
PURGED_ROWS = _counter(
    "rollcall_purged_rows_total",
    "Expired rows (or people, with all of theirs) that the purge has deleted, by what they are.",
    ["rows"],
)
PURGE_ERRORS = _counter(
    "rollcall_purge_errors_total",
    "Steps of the purge that have failed; the next run repeats them.",
    ["rows"],
)
PROVIDER_REQUESTS = _counter(
    "rollcall_provider_requests_total",
    "Messages given to a provider, by outcome (accepted, refused, failed) and reason.",
    ["provider", "outcome", "reason"],
)
SMS_SEGMENTS = _counter(
    "rollcall_sms_segments_total",
    "Segments of accepted text messages, which are paid for.",
    ["provider"],
)
PROVIDER_REQUEST_DURATION = _histogram(
    "rollcall_provider_request_duration_seconds",
    "Duration of requests to a provider.",
    ["provider"],
    buckets=BUCKETS,
)
DELIVERY_RECEIPTS = _counter(
    "rollcall_delivery_receipts_total",
    "Delivery receipts of a provider, by the status that they report.",
    ["provider", "status"],
)
RELAY_LAST_RUN = _gauge(
    "rollcall_relay_last_run_timestamp_seconds",
    "Unix time at which a relay last looked for work.",
    multiprocess_mode="max",
)
WORKER_LAST_RUN = _gauge(
    "rollcall_worker_last_run_timestamp_seconds",
    "Unix time at which a worker last asked for a task.",
    multiprocess_mode="max",
)
PROCESS_CPU = _counter(
    "process_cpu_seconds_total",
    "CPU time used by the processes of a component (read or write).",
    ["component"],
)

# From the start at 0: Prometheus sees no increase in a sample that appears with 1.
for _reason in (
    "memory_limit",
    "overloaded",
    "upstream_hung",
    "upstream_timeout",
    "upstream_unavailable",
):
    HTTP_REQUESTS_REJECTED.labels(_reason)
for _metric in (REDIS_DISCONNECTS, REDIS_CALLBACK_ERRORS):
    _metric.labels("profiles")
RATE_LIMITED_REQUESTS.labels("anonymous")
for _outcome in ("delivered", "retried", "failed"):
    EVENT_ATTEMPTS.labels(_outcome)
