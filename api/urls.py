"""Every route of Django's. Those of the API work with and without their last slash.

Reading a profile is none of them: `api.door` gives GET and HEAD of it to `api.reads`.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from api import health, problems
from api.observability import metrics
from api.pages import views as pages
from api.webhooks import views as webhooks
from api.writes import confirmations, people, sessions


def both(route: str, view: Any, name: str | None = None) -> list[URLPattern]:
    """The route as it is written, and the same one with (or without) a slash at its end."""
    other = route.removesuffix("/") if route.endswith("/") else f"{route}/"
    return [path(route, view, name=name), path(other, view)]


urlpatterns: list[URLPattern | URLResolver] = [
    *both("api/v1/signup/", people.SignUpView.as_view()),
    *both("api/v1/profile/", people.ProfileView.as_view()),
    *both("api/v1/confirmations/", confirmations.ConfirmationsView.as_view()),
    *both("api/v1/confirmations/email/", confirmations.EmailConfirmationView.as_view()),
    *both("api/v1/confirmations/email/resend/", confirmations.EmailResendView.as_view()),
    *both("api/v1/confirmations/phone/", confirmations.PhoneConfirmationView.as_view()),
    *both("api/v1/confirmations/phone/resend/", confirmations.PhoneResendView.as_view()),
    *both("api/v1/sessions/", sessions.SessionsView.as_view()),
    *both("api/v1/sessions/confirm/", sessions.SignInView.as_view()),
    *both("api/v1/sessions/current/", sessions.CurrentSessionView.as_view()),
    *both("api/v1/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    *both("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    *both("confirm/email/", pages.ConfirmEmailPage.as_view()),
    *both("webhooks/sendgrid/", webhooks.sendgrid),
    *both("webhooks/vonage/", webhooks.vonage),
    *both("livez", health.livez),
    *both("readyz", health.readyz),
    *both("metrics", metrics.metrics),
    path("admin/", admin.site.urls),
]
if settings.DEV_MAILBOX_ENABLED:
    urlpatterns += [
        *both("dev/mailbox/", pages.mailbox),
        *both("dev/mailbox.json", pages.mailbox_json),
    ]

handler400 = problems.bad_request
handler403 = problems.forbidden
handler404 = problems.not_found
handler500 = problems.server_error
