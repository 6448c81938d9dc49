"""Django's admin: people, tombstones, the outbox and staff actions, read-only.

Addresses are masked: staff search by an address that they were given, and need not see others.
Codes, salts, digests and key ids are not shown. Changes are commands: see `api.admin.actions`.
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

from api.admin.actions import ACTIONS, Action, has_permission
from api.admin.history import build_tables
from api.admin.search import find_person_ids
from domain.model.address import Channel, mask
from domain.postgres.models import OutboxEntry, Person, Tombstone


class ReadOnlyModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # is not generic when it runs
    """A model that staff view and do not edit."""

    list_per_page = 50
    show_full_result_count = False  # counting a million rows takes longer than showing fifty

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Person)
class PersonAdmin(ReadOnlyModelAdmin):
    fields = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
              "phone_verified_at", "hobbies", "version", "created_at")  # fmt: skip  # one glance
    list_display = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
                    "phone_verified_at", "created_at")  # fmt: skip  # one glance
    search_fields = ("id",)  # shows the search box; `get_search_results` does the search
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
        person_ids = find_person_ids(search_term) if search_term.strip() else None
        return (queryset if person_ids is None else queryset.filter(id__in=person_ids)), False

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<uuid:person_id>/{action.name}/",
                self.admin_site.admin_view(partial(self.action_view, action=action)),
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
                "tables": build_tables(person),
                "actions": [action for action in ACTIONS if has_permission(action, request.user)],
            }
        return super().change_view(request, object_id, form_url, extra_context)

    def action_view(self, request: HttpRequest, person_id: UUID, action: Action) -> HttpResponse:
        """Shows a confirmation page, and runs the action on POST (with a CSRF token)."""
        if not has_permission(action, request.user):
            raise PermissionDenied
        person = get_object_or_404(Person, id=person_id)
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "opts": self.opts}
            context |= {"title": action.title, "person": person, "action": action}
            return render(request, "admin/rollcall/person/action_confirmation.html", context)
        action_messages = action.handler(person_id, request.user)
        if action_messages is None:
            raise Http404
        for action_message in action_messages:
            messages.add_message(request, action_message.level, action_message.text)
        view = "changelist" if action.deletes_person else "change"
        args = () if action.deletes_person else (person_id,)
        return HttpResponseRedirect(reverse(f"admin:rollcall_person_{view}", args=args))


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyModelAdmin):
    fields = ("id", "version", "deleted_at")
    list_display = ("id", "deleted_at")
    search_fields = ("=id",)
    search_help_text = "An id."
    ordering = ("-deleted_at",)


@admin.register(OutboxEntry)
class OutboxAdmin(ReadOnlyModelAdmin):
    fields = ("kind", "person_id", "state", "reason_code", "attempts", "due_at",
              "provider_message_id", "delivery_status", "delivery_status_at", "created_at",
              "finished_at")  # fmt: skip  # one glance
    readonly_fields = ("person_id",)  # an id: its row may be deleted
    list_display = ("id", "kind", "state", "reason_code", "delivery_status", "attempts", "due_at",
                    "created_at")  # fmt: skip  # one glance
    list_filter = ("state", "kind", "reason_code", "delivery_status")
    ordering = ("-id",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyModelAdmin):
    """What staff did, also for people who were deleted."""

    fields = ("action_time", "user", "content_type", "object_id", "change_message")
    list_display = ("action_time", "user", "object_id", "change_message")
    list_select_related = ("user",)
    search_fields = ("=object_id",)
    search_help_text = "A person's id."
    ordering = ("-action_time",)
