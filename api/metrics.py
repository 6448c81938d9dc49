"""GET /metrics: what Prometheus is told of this web server, and of the work behind it."""

import hmac
from collections.abc import Iterator
from itertools import accumulate

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from api.bearer import bearer_token
from api.counts import BOUNDS
from api.problems import only, problem
from api.publishing import Published, published
from domain.errors import InvalidToken, Unavailable
from domain.stores.figures import RECENT, Figures, figures
from domain.stores.postgres.errors import translate_database_errors
from workers import queue

# Of each process: name, what it is, names of the labels.
_COUNTERS = [
    ("process_cpu_seconds", "CPU time used by this web process.", []),
    ("profile_missing", "Reads that found no profile, or one older than their token.", []),
    ("profile_wanted", "Missing profiles that the relay was asked for.", []),
    ("profile_redis_connected", "Times that the reader has connected to its Redis.", []),
    ("profile_redis_lost", "Times that the reader has lost its Redis.", []),
    ("profile_redis_failed", "Times that the reader has failed to connect to its Redis.", []),
    ("not_http", "Requests refused because they were not HTTP, too large or too slow.", []),
    ("busy", "Requests refused because no thread of Django came free.", []),
    ("rate_limits_unavailable", "Requests that passed uncounted: Redis was away.", []),
    ("rate_limited", "Requests refused with 429, by limit.", ["limit"]),
]
_HISTOGRAMS = [
    ("read_seconds", "Reads of profiles, by status.", ["status"]),
    ("request_seconds", "All other requests, by route.", ["method", "route", "status"]),
]


@only("GET", "HEAD")
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics, for who knows METRICS_TOKEN; without one they are open, or not there at all."""
    if token := settings.METRICS_TOKEN:
        given = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise InvalidToken
    elif not settings.METRICS_OPEN:
        return problem(request, "not_found")
    response = HttpResponse(generate_latest(_Page()), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response


class _Page(Collector):
    def collect(self) -> Iterator[Metric]:
        processes = published(settings.METRICS_DIR)
        for name, text, labels in _COUNTERS:
            yield _counter(processes, name, text, labels)
        for name, text, labels in _HISTOGRAMS:
            yield _histogram(processes, name, text, labels)
        length = queue.length()
        yield _gauge("queue_up", "Whether Huey's Redis answers.", length is not None)
        if length is not None:
            yield _gauge("queue_length", "Tasks that wait in Huey's queue.", length)
        yield from _postgres()


def _counter(processes: list[Published], name: str, text: str, labels: list[str]) -> Metric:
    family = CounterMetricFamily(f"rollcall_{name}", text, labels=["process", *labels])
    for each in processes:
        rows = {key[1:]: number for key, number in each.counters if key[0] == name}
        for values, number in (rows if labels else {(): 0.0} | rows).items():
            family.add_metric([each.process, *map(str, values)], number)
    return family


def _histogram(processes: list[Published], name: str, text: str, labels: list[str]) -> Metric:
    family = HistogramMetricFamily(f"rollcall_{name}", text, labels=["process", *labels])
    bounds = [*map(str, BOUNDS), "+Inf"]
    for each in processes:
        for key, (*counts, seconds) in each.histograms:
            if key[0] == name:
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                family.add_metric([each.process, *map(str, key[1:])], buckets, seconds)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rollcall_{name}", text, value)


def _postgres() -> Iterator[Metric]:
    try:
        with translate_database_errors():
            found = figures()
    except Unavailable:
        yield _gauge("postgres_up", "Whether Postgres answers.", False)
    else:
        yield _gauge("postgres_up", "Whether Postgres answers.", True)
        yield from _outbox(found)


def _outbox(found: Figures) -> Iterator[Metric]:
    """These are the same whichever web server is asked: take the greatest, not the sum."""
    family = GaugeMetricFamily("rollcall_outbox_open", "Open rows.", labels=["kind", "state"])
    for values, count in found.open.items():
        family.add_metric(values, count)
    yield family
    text = "For how long the oldest due row has been due."
    yield _gauge("outbox_oldest_due_seconds", text, found.oldest_due)
    text = f"Messages closed in the last {RECENT} seconds."
    family = GaugeMetricFamily("rollcall_messages_recent", text, labels=["channel", "state"])
    for values, count in found.messages.items():
        family.add_metric(values, count)
    yield family
