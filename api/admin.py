"""Django's admin for staff: people and the outbox, to look at. Codes, salts and digests are not
shown, and nothing can be changed here: changes go through commands.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from domain.stores.models import Outbox, Person


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
    fields = ("id", "name", "surname", "email", "phone", "hobbies", "email_verified_at",
              "phone_verified_at", "version", "created_at")  # fmt: skip  # one glance
    list_display = ("id", "name", "surname", "email", "phone", "created_at")
    search_fields = ("=email_key", "=phone", "=id")
    search_help_text = "A whole e-mail address in lower case, a number as +34…, or an id."
    ordering = ("-created_at",)


@admin.register(Outbox)
class OutboxAdmin(ReadOnly):
    fields = ("kind", "person", "state", "reason", "attempts", "due_at", "provider_id",
              "created_at", "finished_at")  # fmt: skip  # one glance
    list_display = ("id", "kind", "state", "reason", "attempts", "due_at", "created_at")
    list_filter = ("state", "kind", "reason")
    ordering = ("-id",)
