"""Django's admin: people, tombstones and staff actions, read-only.

Addresses are masked: staff search by an address that they were given, and need not see others.
Codes, salts, digests and key ids are not shown. Changes are commands: see `api.admin.actions`.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils.html import format_html_join
from django_otp.plugins.otp_totp.models import TOTPDevice

from api.admin import actions
from api.admin.base import PersonSearchAdmin, ReadOnlyInline, ReadOnlyModelAdmin
from domain.model.address import Channel, mask
from domain.postgres import confirmation_status
from domain.postgres.models import Confirmation, OutboxEntry, Person, Session, Tombstone

# It shows the secrets of all staff; see `manage.py enrol_staff`.
admin.site.unregister(TOTPDevice)


class ConfirmationInline(ReadOnlyInline):
    model = Confirmation
    fields = ("channel", "masked_address", "attempts", "created_at", "first_attempted_at",
              "confirmed_at", "superseded_at")  # fmt: skip  # one glance

    @admin.display(description="address")
    def masked_address(self, confirmation: Confirmation) -> str:
        return mask(Channel(confirmation.channel), confirmation.address)


class OutboxInline(ReadOnlyInline):
    model = OutboxEntry
    fields = ("kind", "confirmation_id", "state", "reason_code", "attempts", "delivery_status",
              "created_at", "finished_at")  # fmt: skip  # one glance


class SessionInline(ReadOnlyInline):
    model = Session
    fields = ("created_at", "expires_at")


@admin.register(Person)
class PersonAdmin(PersonSearchAdmin):
    fields = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
              "phone_verified_at", "hobbies", "locale", "version", "created_at",
              "confirmation_statuses")  # fmt: skip  # one glance
    list_display = ("id", "name", "surname", "masked_email", "email_verified_at", "masked_phone",
                    "phone_verified_at", "created_at")  # fmt: skip  # one glance
    ordering = ("-created_at",)
    inlines = (ConfirmationInline, OutboxInline, SessionInline)
    actions = (actions.resend_confirmations, actions.revoke_sessions)

    @admin.display(description="e-mail")
    def masked_email(self, person: Person) -> str:
        return mask(Channel.EMAIL, person.email)

    @admin.display(description="phone")
    def masked_phone(self, person: Person) -> str:
        return mask(Channel.PHONE, person.phone)

    @admin.display(description="confirmations")
    def confirmation_statuses(self, person: Person) -> str:
        statuses = confirmation_status.get_statuses(person.id) or {}  # deleted since
        return format_html_join(
            "",
            "<p>{}: {}, {} attempts left, next resend: {}, pending: {}</p>",
            (
                (channel, s.status, s.attempts_left, s.resend_available_at, s.pending)
                for channel, s in statuses.items()
            ),
        )

    def get_actions(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Leaves out Django's own action: people are erased one by one."""
        actions = super().get_actions(request, *args, **kwargs)
        actions.pop("delete_selected", None)
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Shows the person only, and requires no permission to delete other rows."""
        return [str(person) for person in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Person) -> None:
        actions.erase(request, obj)


@admin.register(Tombstone)
class TombstoneAdmin(PersonSearchAdmin):
    fields = ("id", "version", "deleted_at")
    list_display = ("id", "deleted_at")
    search_help_text = "An id."
    ordering = ("-deleted_at",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyModelAdmin):
    """What staff did, also for people who were deleted."""

    fields = ("action_time", "user", "content_type", "object_id", "change_message")
    list_display = ("action_time", "user", "object_id", "change_message")
    list_select_related = ("user",)
    search_fields = ("object_id__exact",)  # whose index has no upper case
    search_help_text = "The id of a person or an outbox entry."
    ordering = ("-id",)
