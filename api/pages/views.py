"""The confirmation page, and the development mailbox."""

from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from api.problems import only
from workers.delivery.mailbox import Mailbox

_CSP = (
    "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAILBOX_PAGE_MOST = 200


@only("GET", "HEAD")
def confirm_email(request: HttpRequest) -> HttpResponse:
    """The page behind the link in the e-mail. Opening it changes nothing: mail scanners open
    links. The token stands behind the `#`, so that it reaches no server, log or referrer.
    """
    return _page(request, "confirm_email.html", {"service": settings.SERVICE_NAME})


@only("GET", "HEAD")
def mailbox(request: HttpRequest) -> HttpResponse:
    """Every message that would have been sent, newest first, for people (the newest 200)."""
    messages = Mailbox(settings.MAILBOX_PATH).messages(request.GET.get("to"), _MAILBOX_PAGE_MOST)
    context = {"messages": messages, "to": request.GET.get("to", ""), "most": _MAILBOX_PAGE_MOST}
    return _page(request, "mailbox.html", context)


@only("GET", "HEAD")
def mailbox_json(request: HttpRequest) -> HttpResponse:
    """Every message that would have been sent, newest first; `?to=` filters by address."""
    messages = Mailbox(settings.MAILBOX_PATH).messages(request.GET.get("to"))
    response = HttpResponse(orjson.dumps(messages), content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    response["Content-Security-Policy"] = _CSP
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response
