"""Django's admin for staff: people and the outbox to look at, and what may be done for a person.

Addresses are masked: staff find somebody by the address that they are told, and need not see any.
Codes, salts, digests and the ids of keys are not shown. Nothing is edited here: changes go through
commands, see `api.staff`.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse

from api.staff.actions import ACTIONS, Action, allowed
from api.staff.history import tables_of
from api.staff.search import ids_of
from domain.address import Channel, mask
from domain.stores.models import OutboxEntry, Person, Tombstone


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # is not generic when it runs
    """Rows to look at."""

    list_per_page = 50
    show_full_result_count = False  # counting a million people takes longer than showing fifty

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Person)
class PersonAdmin(ReadOnly):
    fields = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
              "phone_verified_at", "hobbies", "version", "created_at")  # fmt: skip  # one glance
    list_display = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
                    "phone_verified_at", "created_at")  # fmt: skip  # one glance
    search_fields = ("id",)  # so that there is a box; what it means is in `get_search_results`
    search_help_text = "A whole e-mail address, a whole phone number, or an id."
    ordering = ("-created_at",)

    @admin.display(description="e-mail")
    def masked_email(self, person: Person) -> str:
        return mask(Channel.EMAIL, person.email)

    @admin.display(description="phone")
    def masked_phone(self, person: Person) -> str:
        return mask(Channel.PHONE, person.phone)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Person], search_term: str
    ) -> tuple[QuerySet[Person], bool]:
        found = ids_of(search_term) if search_term.strip() else None
        return (queryset if found is None else queryset.filter(id__in=found)), False

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<uuid:person_id>/{action.name}/",
                self.admin_site.admin_view(partial(self.act, action=action)),
                name=f"person_{action.name}",
            )
            for action in ACTIONS
        ] + super().get_urls()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        person = self.get_object(request, object_id)
        if person is not None and self.has_view_permission(request, person):
            extra_context = (extra_context or {}) | {
                "tables": tables_of(person),
                "actions": [action for action in ACTIONS if allowed(action, request.user)],
            }
        return super().change_view(request, object_id, form_url, extra_context)

    def act(self, request: HttpRequest, person_id: UUID, action: Action) -> HttpResponse:
        """Ask whether it is meant, and do it when that was said (POST, with a CSRF token)."""
        if not allowed(action, request.user):
            raise PermissionDenied
        person = get_object_or_404(Person, id=person_id)
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "opts": self.opts}
            context |= {"title": action.title, "person": person, "action": action}
            return render(request, "admin/stores/person/act.html", context)
        outcomes = action.carry_out(person_id, request.user)
        if outcomes is None:
            raise Http404
        for outcome in outcomes:
            messages.add_message(request, outcome.level, outcome.words)
        where = "changelist" if action.is_the_end else "change"
        args = () if action.is_the_end else (person_id,)
        return HttpResponseRedirect(reverse(f"admin:stores_person_{where}", args=args))


@admin.register(Tombstone)
class GoneAdmin(ReadOnly):
    fields = ("id", "version", "deleted_at")
    list_display = ("id", "deleted_at")
    search_fields = ("=id",)
    search_help_text = "An id."
    ordering = ("-deleted_at",)


@admin.register(OutboxEntry)
class OutboxAdmin(ReadOnly):
    fields = ("kind", "person_id", "state", "reason_code", "attempts", "due_at",
              "provider_message_id", "delivery_status", "delivery_status_at", "created_at",
              "finished_at")  # fmt: skip  # one glance
    readonly_fields = ("person_id",)  # as an id: its row may be gone
    list_display = ("id", "kind", "state", "reason_code", "delivery_status", "attempts", "due_at",
                    "created_at")  # fmt: skip  # one glance
    list_filter = ("state", "kind", "reason_code", "delivery_status")
    ordering = ("-id",)


@admin.register(LogEntry)
class RecordAdmin(ReadOnly):
    """Who of the staff did what, also to people who are gone."""

    fields = ("action_time", "user", "content_type", "object_id", "change_message")
    list_display = ("action_time", "user", "object_id", "change_message")
    list_select_related = ("user",)
    search_fields = ("=object_id",)
    search_help_text = "A person's id."
    ordering = ("-action_time",)
