"""Events in the admin: what waits, what was given up and why; to deliver it again."""

from collections.abc import Iterable
from typing import Any, override

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from api.admin.base import MAX_ROWS, PersonSearchAdmin, with_ids_of
from domain.postgres import event_queries
from domain.postgres.models import Event

type _Rows = QuerySet[Event]


class StateFilter(admin.SimpleListFilter):
    """The last events of a state."""

    title = "state"
    parameter_name = "state__exact"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return (
            (Event.State.PENDING, "Pending: not accepted yet"),
            (Event.State.FAILED, "Failed: given up"),
            (Event.State.DELIVERED, "Delivered"),
        )

    @override
    def queryset(self, request: HttpRequest, queryset: _Rows) -> _Rows:
        if (state := self.value()) is None:
            return queryset
        if request.GET.get("q"):
            return queryset.filter(state=state)
        # By the index of states: in the order of ids one may be rare among millions.
        found = Event.objects.filter(state=state).order_by("-created_at")
        return with_ids_of(queryset, found[:MAX_ROWS])


@admin.action(description="Deliver again", permissions=["action"])
def deliver_again(model_admin: "EventAdmin", request: HttpRequest, events: _Rows) -> None:
    """Delivers events again; those that wait at once."""
    ids = list(events.values_list("id", flat=True))
    with transaction.atomic():
        count = event_queries.replay(ids)
        rows = Event.objects.filter(id__in=ids)
        LogEntry.objects.log_actions(request.user.pk or 0, rows, CHANGE, "delivered again")
    messages.success(request, f"{count} of {len(ids)} are delivered again.")


@admin.register(Event)
class EventAdmin(PersonSearchAdmin):
    fields = ("kind", "person_id", "version", "session_id", "state", "reason_code", "attempts",
              "due_at", "created_at", "first_attempted_at",
              "finished_at")  # fmt: skip  # one glance
    list_display = ("id", "kind", "state", "reason_code", "attempts", "due_at", "created_at",
                    "person_id", "version")  # fmt: skip  # one glance
    list_filter = (StateFilter,)
    ordering = ("-id",)
    actions = (deliver_again,)
    person_field = "person_id"
