"""What the admin's pages have in common: they are read-only, and bounded however much is stored."""

from typing import Any, ClassVar, override
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import BooleanField, F, Func, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property

from api.admin.search import find_person_ids

MAX_ROWS = 10_000  # that a list counts and pages through: counting all would read the whole table


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # is not generic when it runs
    """Pages through the first `MAX_ROWS` rows."""

    @cached_property
    def count(self) -> int:
        # In the list's order, by its index: a table may begin with many deleted rows.
        return int(self.object_list[:MAX_ROWS].count())  # type: ignore[attr-defined]  # typed as any sequence; is a query set


def with_ids_of[Row: Model](rows: QuerySet[Row], found: QuerySet[Row]) -> QuerySet[Row]:
    """Returns those of the rows that are among `found`, which is bounded.

    By id = ANY(ARRAY(SELECT …)): with IN, Postgres may read the whole table and look each row up.
    """
    is_found = Func(
        F("id"),
        ArraySubquery(found.values("id")),
        template="(%(expressions)s))",
        arg_joiner=" = ANY(",
        output_field=BooleanField(),
    )
    return rows.filter(is_found)


class ReadOnlyMixin:
    """For a model that staff view and do not edit."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyModelAdmin(ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # is not generic when it runs
    list_per_page = 50
    paginator = BoundedPaginator
    sortable_by: ClassVar[tuple[str, ...]] = ()  # most columns have no index
    show_full_result_count = False  # counting a million rows takes longer than showing fifty
    show_facets = admin.ShowFacets.NEVER  # counts too, for each choice of a filter

    def has_action_permission(self, request: HttpRequest) -> bool:
        """Returns whether the user may run the actions."""
        return admin.ModelAdmin.has_change_permission(self, request)


class PersonSearchAdmin(ReadOnlyModelAdmin):
    """Search by a person's id or whole address (`admin/rollcall/search_form.html`).

    A POST, whose response redirects to the ids that were found: no address is part of a URL, which
    proxies log and browsers remember.
    """

    search_fields = ("id",)  # shows the search box; `get_search_results` does the search
    search_help_text = "A whole e-mail address, a whole phone number, or an id."
    person_field = "id"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method != "POST" or "search" not in request.POST:
            return super().changelist_view(request, extra_context)
        if not self.has_view_permission(request):
            raise PermissionDenied
        text = request.POST["search"].strip()
        ids = " ".join(map(str, find_person_ids(text))) or "none"
        return HttpResponseRedirect(
            f"{request.path}?{urlencode({'q': ids})}" if text else request.path
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        if search_term.strip():
            filters = {f"{self.person_field}__in": find_person_ids(search_term)}
            queryset = queryset.filter(**filters)
        return queryset, False


class ReadOnlyInline(ReadOnlyMixin, admin.TabularInline):  # type: ignore[type-arg]  # is not generic when it runs
    """Rows of a person, newest first, for all who may see the person."""

    ordering = ("-id",)

    @override
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields
