"""Huey's dashboard, beside the outbox, and quick however many events it has recorded."""

import time
from collections import Counter, defaultdict
from typing import Any, override

from django.contrib import admin
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from huey.contrib.djhuey import HUEY
from huey.contrib.djhuey.stats import admin as huey_admin
from huey.contrib.djhuey.stats.models import HueyDashboard
from huey.contrib.stats import dashboard_context
from huey.signals import SIGNAL_COMPLETE, SIGNAL_ERROR, SIGNAL_EXECUTING, SIGNAL_RETRYING

from api.admin.base import MAX_ROWS
from domain.postgres.models import OutboxEntry
from domain.postgres.sql import fetch_all

_MINUTES = 60  # of the chart
# One pass over what was recorded in a day; Huey's own methods make four.
_COUNT_EVENTS = """
    SELECT task, signal, least(floor((%s - ts) / 60), %s)::int AS minutes_ago, count(*),
        coalesce(sum(duration), 0)::float, min(ts), max(ts)
    FROM huey_event WHERE queue = %s AND ts > %s - 86400 GROUP BY 1, 2, 3
"""


class _Statistics:
    """What `dashboard_context` asks of Huey's `HueyStats`, from one snapshot."""

    def __init__(self, recorder: Any) -> None:
        self.inflight, self.recent_events = recorder.inflight, recorder.recent_events
        now = time.time()
        self.first, self.last = now, 0.0
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()
        self._by_minute = {signal: [0] * _MINUTES for signal in (SIGNAL_COMPLETE, SIGNAL_ERROR)}
        rows = fetch_all(_COUNT_EVENTS, [now, _MINUTES, recorder.name, now])
        for task, signal, minutes_ago, count, seconds, first, last in rows:
            self.first, self.last = min(self.first, first), max(self.last, last)
            self._counts[task][signal] += count
            if signal == SIGNAL_COMPLETE:
                self._seconds[task] += seconds
            if signal in self._by_minute and 0 <= minutes_ago < _MINUTES:
                self._by_minute[signal][_MINUTES - 1 - minutes_ago] += count

    def task_breakdown(self) -> list[dict[str, Any]]:
        rows = []
        for task, count in self._counts.items():
            completed = count[SIGNAL_COMPLETE]
            rows.append({
                "task": task.rpartition(".")[2], "full": task, "executed": count[SIGNAL_EXECUTING],
                "completed": completed, "errors": count[SIGNAL_ERROR],
                "retries": count[SIGNAL_RETRYING],
                "avg": self._seconds[task] / completed if completed else None,
            })  # fmt: skip  # one glance
        return rows

    def throughput(self, minutes: int) -> dict[str, list[int]]:
        return self._by_minute

    def overview(self) -> Counter[str]:
        """Returns how many events there are of each signal."""
        return sum(self._counts.values(), Counter())


# Registered when this module is imported, by the name of the model.
admin.site.unregister(HueyDashboard)


@admin.register(HueyDashboard)
class HueyDashboardAdmin(huey_admin.HueyDashboardAdmin):
    """Shows how much of the outbox waits too: a failed attempt leaves Huey, and is repeated by the
    relay. Flushing the queue is safe for the same reason; schedule, results and locks are not used.
    """

    @override
    def _context(self, request: HttpRequest) -> dict[str, Any]:
        recorder = getattr(HUEY, "_stats", None)
        if recorder is None:
            context: dict[str, Any] = super()._context(request)
            return context
        statistics = _Statistics(recorder)
        context = dashboard_context(
            HUEY, statistics, self.list_limit, self.event_limit, self.throughput_minutes
        )
        never = {"executed": 0, "completed": 0, "errors": 0, "retries": 0, "avg": None}
        # Ours, and what has run: Huey registers a task of its own for Django's, which are not used.
        known = [row for row in context["known"] if row["stats"] or "workers." in row["full"]]
        return context | {
            "known": [row | {"stats": row["stats"] or never} for row in known],
            "enabled": True,
            "can_act": self.has_action_permission(request),
            "danger_ops": [("flush_queue", "Flush queue")],
            "tiles": [*_huey_tiles(context, statistics), _outbox_tile()],
        }

    @override
    def action_view(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = super().action_view(request)
        operation, target = (request.POST.get(name, "") for name in ("op", "task"))
        dashboard = HueyDashboard(pk=target or request.POST.get("id") or "queue")
        self.log_change(request, dashboard, operation)
        return response


def _huey_tiles(context: dict[str, Any], statistics: _Statistics) -> list[dict[str, Any]]:
    signals = context["overview"]
    last = time.strftime("last event %d %b %H:%M:%S", time.gmtime(statistics.last))
    last = last if signals else "no event yet"
    completed, errors = signals[SIGNAL_COMPLETE], signals[SIGNAL_ERROR]
    recorded = time.strftime("since %d %b %H:%M", time.gmtime(statistics.first))
    rate = f"{100 * errors / max(completed + errors, 1):.1f}% error rate"
    return [
        {"value": context["live"]["pending"], "label": "Pending", "sub": "in Huey's queue"},
        {"value": len(context["inflight"]), "label": "Running", "cls": "hs-run", "sub": last},
        # Less than a day if more happened than is kept.
        {"value": completed, "label": "Completed 24h", "cls": "hs-ok", "sub": recorded},
        {"value": errors, "label": "Errors 24h", "cls": "hs-err", "sub": rate},
    ]


def _outbox_tile() -> dict[str, Any]:
    open_rows = OutboxEntry.objects.filter(state__in=OutboxEntry.UNFINISHED).order_by("due_at")
    is_due = Q(due_at__lte=Now())
    counts = open_rows[:MAX_ROWS].aggregate(
        due=Count("id", filter=is_due),
        waiting=Count("id", filter=Q(state=OutboxEntry.State.PENDING) & ~is_due),
    )
    sub = f"{counts['due']} due, for the relay"
    return {"value": counts["waiting"], "label": "Outbox: waiting", "sub": sub}
