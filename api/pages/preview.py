"""The preview of all messages in development, with sample data: `/dev/messages/?language=de`."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from rest_framework.request import Request

from api.pages import csp
from api.writes.base import NoStoreAPIView
from domain.model.language import SUPPORTED
from workers.messages import rendering
from workers.messages.checks import check_draft
from workers.messages.drafts import Draft, samples
from workers.messages.gsm7 import count_segments, is_gsm7


@method_decorator(csp_override(csp.PREVIEW), name="dispatch")
class PreviewView(NoStoreAPIView):
    """A page with every message in one language: e-mails as HTML and plain text, text messages with
    their segments, and what the check finds.
    """

    schema = None

    def get(self, request: Request) -> HttpResponse:
        language = _get_language(request)
        rendering.forget_templates()
        messages = [
            _describe(number, language, draft) for number, draft in enumerate(samples(settings))
        ]
        context = {"messages": messages, "language": language, "languages": SUPPORTED}
        return render(request, "dev_messages.html", context)


@method_decorator(csp_override(csp.FRAMED_EMAIL), name="dispatch")
@method_decorator(xframe_options_sameorigin, name="dispatch")
class FramedEmailView(NoStoreAPIView):
    """The HTML of one e-mail of that page, for its frame."""

    schema = None

    def get(self, request: Request, number: int) -> HttpResponse:
        drafts = samples(settings)
        if number >= len(drafts):
            raise Http404
        message = rendering.render(settings, _get_language(request), drafts[number])
        return HttpResponse(message.html)


def _get_language(request: Request) -> str:
    language = request.GET.get("language", settings.DEFAULT_LANGUAGE)
    if language not in SUPPORTED:
        raise Http404
    return language


def _describe(number: int, language: str, draft: Draft) -> dict[str, Any]:
    message = rendering.render(settings, language, draft)
    return {
        "number": number,
        "kind": draft.kind,
        "message": message,
        "segments": count_segments(message.text),
        "alphabet": "GSM 7-bit" if is_gsm7(message.text) else "UCS-2",
        "findings": [f.msg for f in check_draft(settings.MESSAGE_TEMPLATES, language, draft)],
    }
