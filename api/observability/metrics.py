"""GET /metrics: the metrics of all processes, of the outbox and of the queue."""

import hmac
from collections.abc import Iterator, Mapping

from django.conf import settings
from django.http import Http404, HttpResponse
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.request import Request

from api.bearer import bearer_token
from api.observability import redis_metrics
from api.writes.base import NoStoreAPIView
from api.writes.openapi import operation
from domain.metrics.exposition import CONTENT_TYPE, ProcessCollector
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.postgres import event_queries, outbox_stats
from domain.postgres.errors import translate_database_errors
from domain.postgres.event_queries import EventStats
from domain.postgres.outbox_stats import OVERDUE_AFTER, OutboxStats

_POSTGRES_UP = "Whether Postgres responds."


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
            sent = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
            if not hmac.compare_digest(sent.encode(), token.encode()):
                raise InvalidToken
        elif not settings.METRICS_PUBLIC:
            raise Http404
        return HttpResponse(generate_latest(MetricsCollector()), content_type=CONTENT_TYPE)


class MetricsCollector(Collector):
    """Collects the metrics of the processes, of both Redis servers, and of Postgres."""

    def collect(self) -> Iterator[Metric]:
        yield from ProcessCollector(write_up=True).collect()
        yield from redis_metrics.collect()
        try:
            with translate_database_errors():
                stats, events = outbox_stats.collect(), event_queries.collect()
        except ServiceUnavailable:
            yield GaugeMetricFamily("rollcall_postgres_up", _POSTGRES_UP, False)
        else:
            yield GaugeMetricFamily("rollcall_postgres_up", _POSTGRES_UP, True)
            yield from _outbox(stats)
            yield from _events(events)


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _events(stats: EventStats) -> Iterator[Metric]:
    text = "Events that are not delivered, by state: pending, or failed (given up)."
    values = {"pending": stats.pending, "failed": stats.failed}
    yield _family("rollcall_events", text, "state", values)
    text = "Age of the oldest event that is pending."
    yield GaugeMetricFamily("rollcall_event_oldest_age_seconds", text, stats.oldest_age)


def _outbox(stats: OutboxStats) -> Iterator[Metric]:
    """They are the same whichever process is scraped: take the maximum over several, not a sum."""
    text = "Outbox entries that are not finished."
    family = GaugeMetricFamily("rollcall_outbox_entries", text, labels=["kind", "state"])
    for values, count in stats.unfinished.items():
        family.add_metric(values, count)
    yield family
    text = "Messages that wait for a quota, a confirmation or a key."
    yield _family("rollcall_outbox_postponed", text, "reason", stats.postponed)
    text = "Seconds for which the oldest due outbox entry has been due."
    yield GaugeMetricFamily("rollcall_outbox_oldest_due_age_seconds", text, stats.oldest_due_age)
    text = "Age of the oldest unfinished outbox entry of a kind, whatever it waits for."
    yield _family("rollcall_outbox_oldest_age_seconds", text, "kind", stats.oldest_ages)
    text = f"Messages that are older than {OVERDUE_AFTER} seconds, without those postponed."
    yield GaugeMetricFamily("rollcall_messages_overdue", text, stats.overdue_messages)
    quotas = stats.sms_quotas
    text = "Text messages that are allowed in 24 hours."
    limits = {name: limit for name, (limit, _) in quotas.items()}
    yield _family("rollcall_sms_quota", text, "recipients", limits)
    text = "Text messages that are left now of those."
    left = {name: left for name, (_, left) in quotas.items()}
    yield _family("rollcall_sms_quota_remaining", text, "recipients", left)
