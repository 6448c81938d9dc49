"""The confirmation page, and the development mailbox."""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from api.problems import only
from api.writes.base import WriteView
from api.writes.json import json_response
from api.writes.openapi import confirmations as told
from api.writes.serializers import LinkBody
from domain.code import LINK_LIFETIME
from domain.commands.confirmations import inspect_link
from domain.stores import keys
from domain.stores.unit_of_work import unit_of_work
from workers.delivery.mailbox import FileMailbox

_CSP = (
    "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAILBOX_PAGE_MOST = 200


class ConfirmEmailPage(WriteView):
    """The page behind the link in the e-mail. Opening it changes nothing: mail scanners open
    links, and some run scripts. The token stands behind the `#`, so that it gets into no log, no
    referrer and no proxy's memory; the page's script sends it in a body.
    """

    @extend_schema(exclude=True)  # told with the other pages, in api.schema
    def get(self, request: Request) -> HttpResponse:
        context = {
            "service": settings.SERVICE_NAME,
            "link_hours": int(LINK_LIFETIME.total_seconds() // 3600),
        }
        return _page(request, "confirm_email.html", context)

    @told.look_at_link
    def post(self, request: Request) -> HttpResponse:
        body = LinkBody.read(request.data)
        link = inspect_link(body["token"], unit_of_work, keys.get_keyring())
        return json_response(asdict(link))


@only("GET", "HEAD")
def mailbox(request: HttpRequest) -> HttpResponse:
    """Every message that would have been sent, newest first, for people (the newest 200)."""
    messages = FileMailbox(settings.MAILBOX_PATH).list_messages(
        request.GET.get("to"), _MAILBOX_PAGE_MOST
    )
    context = {"messages": messages, "to": request.GET.get("to", ""), "most": _MAILBOX_PAGE_MOST}
    return _page(request, "mailbox.html", context)


@only("GET", "HEAD")
def mailbox_json(request: HttpRequest) -> HttpResponse:
    """Every message that would have been sent, newest first; `?to=` filters by address."""
    messages = FileMailbox(settings.MAILBOX_PATH).list_messages(request.GET.get("to"))
    response = json_response(messages)
    response["Cache-Control"] = "no-store"
    return response


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    response["Content-Security-Policy"] = _CSP
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response
