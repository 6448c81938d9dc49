"""The confirmation page, the documentation of the API, and the development mailbox."""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views.decorators.csp import csp_override
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request

from api.pages import csp
from api.writes.base import NoStoreAPIView
from api.writes.error_handlers import get_response_language
from api.writes.json_parser import json_response
from api.writes.openapi import PUBLIC, operation
from api.writes.response_serializers import ConfirmationLinkSerializer
from api.writes.serializers import InspectLinkSerializer
from domain.commands.confirmations import inspect_link
from domain.model.one_time_code import LINK_LIFETIME
from domain.postgres import keyring
from domain.postgres.unit_of_work import unit_of_work
from workers.providers.mailbox import FileMailbox

MAILBOX_PAGE_SIZE = 200


@method_decorator(csp_override(csp.PAGE), name="dispatch")
class ConfirmEmailView(NoStoreAPIView):
    """The page that the link in the e-mail opens. Opening it changes nothing: mail scanners open
    links, and some run scripts. The token is in the fragment, so that no log, referrer or proxy
    receives it; the page's script sends it in a body.
    """

    @operation(
        "getConfirmationPage",
        "Get the page that a confirmation link opens",
        {(200, "text/html"): str},
        security=PUBLIC,
    )
    def get(self, request: Request) -> HttpResponse:
        context = {
            "service": settings.SERVICE_NAME,
            "link_hours": int(LINK_LIFETIME.total_seconds() // 3600),
        }
        language = get_response_language(request)
        with translation.override(language):
            names = [f"{language}/confirm_email.html", "confirm_email.html"]
            page = _render_page(request, names, context)
        page["Content-Language"] = language
        patch_vary_headers(page, ["Accept-Language"])
        return page

    @operation(
        "inspectConfirmationLink",
        "Inspect a confirmation link",
        {200: ConfirmationLinkSerializer},
        body=InspectLinkSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        body = InspectLinkSerializer.parse(request.data)
        link = inspect_link(body["token"], unit_of_work, keyring.get_keyring())
        return json_response(asdict(link))


@method_decorator(csp_override(csp.PAGE), name="dispatch")
class DevMailboxView(NoStoreAPIView):
    """A page with the newest 200 messages that would have been sent."""

    schema = None

    def get(self, request: Request) -> HttpResponse:
        to = request.GET.get("to")
        messages = FileMailbox(settings.MAILBOX_PATH).list_messages(to, MAILBOX_PAGE_SIZE)
        context = {"messages": messages, "to": to or "", "page_size": MAILBOX_PAGE_SIZE}
        return _render_page(request, ["dev_mailbox.html"], context)


@method_decorator(csp_override(csp.DOCUMENTATION), name="dispatch")
class DocumentationView(SpectacularSwaggerSplitView):
    """The OpenAPI document for people: Swagger UI, with its start script at an URL of its own."""


class DevMailboxJSONView(NoStoreAPIView):
    """All messages that would have been sent, newest first; `?to=` filters by address."""

    schema = None

    def get(self, request: Request) -> HttpResponse:
        messages = FileMailbox(settings.MAILBOX_PATH).list_messages(request.GET.get("to"))
        return json_response(messages)


def _render_page(request: Request, names: list[str], context: dict[str, Any]) -> HttpResponse:
    """Renders the first of these templates that exists."""
    response = render(request, names, context)
    response["Referrer-Policy"] = "no-referrer"
    return response
