"""GET /metrics: the metrics of all processes, of the outbox and of the queue."""

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.http import Http404, HttpResponse
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.request import Request

from api.observability.exposition import CONTENT_TYPE, get_collector
from api.writes.base import NoStoreAPIView, get_bearer_token
from api.writes.openapi import operation
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.postgres.errors import translate_database_errors
from domain.postgres.outbox_stats import WINDOW_SECONDS, OutboxStats, collect
from workers import queue


class MetricsView(NoStoreAPIView):
    """The metrics, for clients that send METRICS_TOKEN.

    Without such a token they are public if METRICS_PUBLIC, else a 404.
    """

    @operation(
        "getMetrics",
        "Get the metrics for Prometheus",
        {(200, "text/plain"): str, 404: None},
        security=[{"metricsToken": []}, {}],
    )
    def get(self, request: Request) -> HttpResponse:
        if token := settings.METRICS_TOKEN:
            if not hmac.compare_digest(get_bearer_token(request).encode(), token.encode()):
                raise InvalidToken
        elif not settings.METRICS_PUBLIC:
            raise Http404
        return HttpResponse(generate_latest(MetricsCollector()), content_type=CONTENT_TYPE)


class MetricsCollector(Collector):
    """Collects the metrics of the processes, of Postgres, and of the queue."""

    def collect(self) -> Iterator[Metric]:
        yield from get_collector().collect()
        depth = queue.queue_depth()
        yield _gauge("rollcall_queue_up", "Whether Huey's Redis responds.", depth is not None)
        if depth is not None:
            yield _gauge("rollcall_queue_depth", "Tasks that wait in Huey's queue.", depth)
        yield from _postgres()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _postgres() -> Iterator[Metric]:
    try:
        with translate_database_errors():
            stats = collect()
    except ServiceUnavailable:
        yield _gauge("rollcall_postgres_up", "Whether Postgres responds.", False)
    else:
        yield _gauge("rollcall_postgres_up", "Whether Postgres responds.", True)
        yield from _outbox(stats)


def _outbox(stats: OutboxStats) -> Iterator[Metric]:
    """They are the same whichever process is scraped: take the maximum over several, not a sum."""
    text = "Outbox entries that are not finished."
    family = GaugeMetricFamily("rollcall_outbox_entries", text, labels=["kind", "state"])
    for values, count in stats.unfinished.items():
        family.add_metric(values, count)
    yield family
    text = "Messages that wait for a quota, a confirmation or a key."
    family = GaugeMetricFamily("rollcall_outbox_postponed", text, labels=["reason"])
    for reason, count in stats.postponed.items():
        family.add_metric([reason], count)
    yield family
    text = "Seconds for which the oldest due outbox entry has been due."
    yield _gauge("rollcall_outbox_oldest_due_age_seconds", text, stats.oldest_due_age)
    text = f"Messages finished in the last {WINDOW_SECONDS} seconds."
    family = GaugeMetricFamily("rollcall_messages_finished", text, labels=["channel", "state"])
    for values, count in stats.finished_messages.items():
        family.add_metric(values, count)
    yield family
