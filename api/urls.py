"""All routes of the write process, with and without a trailing slash.

GET and HEAD of a profile are served by the read process: see `api.reads`.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from api.observability import health, metrics
from api.pages import views as pages
from api.webhooks import views as webhooks
from api.writes import accounts, confirmations, error_handlers, sessions


def with_optional_slash(route: str, view: Any, name: str | None = None) -> list[URLPattern]:
    """Returns a route, and the same one without (or with) a trailing slash."""
    alternative = route.removesuffix("/") if route.endswith("/") else f"{route}/"
    return [path(route, view, name=name), path(alternative, view)]


urlpatterns: list[URLPattern | URLResolver] = [
    *with_optional_slash("api/v1/signup/", accounts.SignUpView.as_view()),
    *with_optional_slash("api/v1/profile/", accounts.ProfileView.as_view()),
    *with_optional_slash("api/v1/confirmations/", confirmations.ConfirmationStatusView.as_view()),
    *with_optional_slash(
        "api/v1/confirmations/email/", confirmations.EmailConfirmationView.as_view()
    ),
    *with_optional_slash(
        "api/v1/confirmations/email/resend/", confirmations.EmailResendView.as_view()
    ),
    *with_optional_slash(
        "api/v1/confirmations/phone/", confirmations.PhoneConfirmationView.as_view()
    ),
    *with_optional_slash(
        "api/v1/confirmations/phone/resend/", confirmations.PhoneResendView.as_view()
    ),
    *with_optional_slash("api/v1/sessions/", sessions.SessionsView.as_view()),
    *with_optional_slash("api/v1/sessions/confirm/", sessions.SignInView.as_view()),
    *with_optional_slash("api/v1/sessions/current/", sessions.CurrentSessionView.as_view()),
    *with_optional_slash("api/v1/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    *with_optional_slash("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    *with_optional_slash("confirm/email/", pages.ConfirmEmailView.as_view()),
    *with_optional_slash("webhooks/sendgrid/", webhooks.sendgrid),
    *with_optional_slash("webhooks/vonage/", webhooks.vonage),
    *with_optional_slash("livez", health.livez),
    *with_optional_slash("readyz", health.readyz),
    *with_optional_slash("metrics", metrics.metrics),
    path("admin/", admin.site.urls),
]
if settings.DEV_MAILBOX_ENABLED:
    urlpatterns += [
        *with_optional_slash("dev/mailbox/", pages.dev_mailbox),
        *with_optional_slash("dev/mailbox.json", pages.dev_mailbox_json),
    ]

handler400 = error_handlers.bad_request
handler403 = error_handlers.forbidden
handler404 = error_handlers.not_found
handler500 = error_handlers.server_error
