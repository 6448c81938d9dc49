"""The outbox in the admin: what waits, what failed and why; to retry it or give it up."""

from collections.abc import Iterable
from typing import Any, override

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from api.admin.base import MAX_ROWS, PersonSearchAdmin, with_ids_of
from domain.postgres import outbox
from domain.postgres.models import OutboxEntry
from workers import queue

type _Rows = QuerySet[OutboxEntry]

_State = OutboxEntry.State
_OPEN = "open"
_DUE = "due"
_OPEN_STATES = (_OPEN, _DUE, *OutboxEntry.UNFINISHED)


def _condition(state: str) -> Q:
    if state not in _OPEN_STATES:
        return Q(state=state, finished_at__isnull=False)
    is_open = Q(state__in=OutboxEntry.UNFINISHED)
    if state == _DUE:
        return is_open & Q(due_at__lte=Now())
    return is_open if state == _OPEN else Q(state=state)


def _window(rows: _Rows, state: str) -> _Rows:
    """Returns the entries of a state; of many the first due ones, or those that failed last, or
    those of the last that finished.

    Each of these queries has an index that ends it after `MAX_ROWS`.
    """
    if state in (*_OPEN_STATES, _State.FAILED):
        found = OutboxEntry.objects.filter(_condition(state))
    else:  # no index has its state: it may be rare among millions
        found = OutboxEntry.objects.filter(finished_at__isnull=False)
        rows = rows.filter(state=state)
    order = "due_at" if state in _OPEN_STATES else "-finished_at"
    return with_ids_of(rows, found.order_by(order)[:MAX_ROWS])


class StateFilter(admin.SimpleListFilter):
    """Open entries, unless another state or a person was chosen."""

    title = "state"
    parameter_name = "state__exact"  # as Django's own filter has it

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return (
            (_OPEN, "Open"),
            (_DUE, "Due: not leased yet"),
            (_State.PENDING, "Pending: waits for its next attempt"),
            (_State.QUEUED, "Queued: leased to Huey"),
            (_State.RUNNING, "Running: leased to a worker"),
            (_State.FAILED, "Failed: given up"),
            (_State.DISCARDED, "Discarded: not needed any more"),
            (_State.DONE, "Done"),
        )

    @override
    def choices(self, changelist: Any) -> Any:
        """Returns the choices without Django's "All"."""
        yield from list(super().choices(changelist))[1:]

    @override
    def value(self) -> str | None:
        return super().value() or self._default

    @override
    def __init__(self, request: HttpRequest, *arguments: Any) -> None:
        self._default = None if request.GET.get("q") else _OPEN
        super().__init__(request, *arguments)

    @override
    def queryset(self, request: HttpRequest, queryset: _Rows) -> _Rows:
        state = self.value()
        if state is None:
            return queryset
        if request.GET.get("q"):
            return queryset.filter(_condition(state))
        return _window(queryset, state)


class ReasonFilter(admin.SimpleListFilter):
    """Why attempts failed, or what is waited for, with counts."""

    title = "reason"
    parameter_name = "reason_code"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        rows = _window(OutboxEntry.objects.all(), request.GET.get("state__exact", _OPEN))
        counts = rows.exclude(reason_code="").values_list("reason_code").annotate(Count("id"))
        return [(code, f"{code} ({count})") for code, count in counts.order_by("reason_code")]

    @override
    def queryset(self, request: HttpRequest, queryset: _Rows) -> _Rows:
        return queryset.filter(reason_code=self.value()) if self.value() else queryset


@admin.action(description="Retry now", permissions=["action"])
def retry_now(model_admin: "OutboxAdmin", request: HttpRequest, entries: _Rows) -> None:
    """Hands entries to the workers at once, failed ones again."""
    ids = list(entries.values_list("id", flat=True))
    with transaction.atomic():
        refs = outbox.retry(ids)
        _log(request, [ref.id for ref in refs], "retried")
    queue.enqueue(refs)
    _report(request, len(refs), len(ids), "handed to the workers")


@admin.action(description="Give up", permissions=["action"])
def give_up(model_admin: "OutboxAdmin", request: HttpRequest, entries: _Rows) -> None:
    """Ends messages as failed; they are not sent."""
    ids = list(entries.values_list("id", flat=True))
    with transaction.atomic():
        given_up = outbox.give_up(ids)
        _log(request, given_up, "given up")
    _report(request, len(given_up), len(ids), "given up")


def _log(request: HttpRequest, ids: list[int], message: str) -> None:
    changed = OutboxEntry.objects.filter(id__in=ids)
    LogEntry.objects.log_actions(request.user.pk or 0, changed, CHANGE, message)


def _report(request: HttpRequest, count: int, selected: int, what: str) -> None:
    messages.success(request, f"{count} of {selected} {what}.")
    if count < selected:
        note = "The others are finished, a worker has them, or they are projections."
        messages.warning(request, note)


@admin.register(OutboxEntry)
class OutboxAdmin(PersonSearchAdmin):
    fields = ("kind", "person_id", "state", "reason_code", "attempts", "due_at", "traceparent",
              "provider_message_id", "delivery_status", "delivery_status_at", "created_at",
              "finished_at")  # fmt: skip  # one glance
    readonly_fields = ("person_id",)  # an id: its row may be deleted
    list_display = ("id", "kind", "state", "reason_code", "attempts", "due_at", "created_at",
                    "person_link")  # fmt: skip  # one glance
    sortable_by = ("id", "attempts", "due_at", "created_at")  # of `MAX_ROWS`
    list_filter = (StateFilter, ReasonFilter, "kind", "delivery_status")
    ordering = ("id",)  # the oldest first
    actions = (retry_now, give_up)
    person_field = "person_id"

    @admin.display(description="person")
    def person_link(self, entry: OutboxEntry) -> str:
        if entry.person_id is None:
            return "-"
        url = reverse("admin:rollcall_person_change", args=[entry.person_id])
        return format_html('<a href="{}">{}…</a>', url, str(entry.person_id)[:8])
