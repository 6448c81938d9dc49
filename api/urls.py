"""All routes of the write process, with and without a trailing slash.

GET and HEAD of a profile and introspection are served by the read process: see `api.reads`.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularJSONAPIView

from api.observability import health, metrics
from api.pages import preview
from api.pages import views as pages
from api.webhooks import views as webhooks
from api.writes import accounts, confirmations, error_handlers, export, introspection, sessions


def with_optional_slash(route: str, view: Any, **options: Any) -> list[URLPattern]:
    """Returns a route to a view class, and the same without (or with) a trailing slash, which the
    OpenAPI document leaves out.
    """
    alternative = route.removesuffix("/") if route.endswith("/") else f"{route}/"
    return [
        path(route, view.as_view(**options)),
        path(alternative, view.as_view(**options, schema=None)),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    *with_optional_slash("api/v1/signup/", accounts.SignUpView),
    *with_optional_slash("api/v1/profile/", accounts.ProfileView),
    *with_optional_slash("api/v1/profile/export/", export.ExportView),
    *with_optional_slash("api/v1/introspect/", introspection.IntrospectionView),
    *with_optional_slash("api/v1/confirmations/", confirmations.ConfirmationStatusView),
    *with_optional_slash("api/v1/confirmations/email/", confirmations.EmailConfirmationView),
    *with_optional_slash("api/v1/confirmations/email/resend/", confirmations.EmailResendView),
    *with_optional_slash("api/v1/confirmations/phone/", confirmations.PhoneConfirmationView),
    *with_optional_slash("api/v1/confirmations/phone/resend/", confirmations.PhoneResendView),
    *with_optional_slash("api/v1/sessions/", sessions.SessionsView),
    *with_optional_slash("api/v1/sessions/confirm/", sessions.SignInView),
    *with_optional_slash("api/v1/sessions/current/", sessions.CurrentSessionView),
    *with_optional_slash("api/v1/sessions/current/refresh/", sessions.RefreshSessionView),
    *with_optional_slash("api/v1/sessions/<uuid:session_id>/", sessions.SessionView),
    path("api/v1/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/v1/schema", SpectacularJSONAPIView.as_view()),
    *with_optional_slash("api/v1/docs/", pages.DocumentationView, url_name="schema"),
    *with_optional_slash("confirm/email/", pages.ConfirmEmailView),
    *with_optional_slash("webhooks/sendgrid/", webhooks.SendGridView),
    *with_optional_slash("webhooks/vonage/", webhooks.VonageView),
    *with_optional_slash("livez", health.LivenessView),
    *with_optional_slash("readyz", health.ReadinessView),
    *with_optional_slash("metrics", metrics.MetricsView),
    path("admin/", admin.site.urls),
]
if settings.DEV_MAILBOX_ENABLED:
    urlpatterns += [
        *with_optional_slash("dev/mailbox/", pages.DevMailboxView),
        *with_optional_slash("dev/mailbox.json", pages.DevMailboxJSONView),
        *with_optional_slash("dev/messages/", preview.PreviewView),
        path("dev/messages/<int:number>.html", preview.FramedEmailView.as_view()),
    ]

handler400 = error_handlers.bad_request
handler403 = error_handlers.forbidden
handler404 = error_handlers.not_found
handler500 = error_handlers.server_error
