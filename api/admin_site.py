"""The admin's site: Django's, with a content security policy, behind a second factor."""

from typing import Any, override

from django import forms
from django.conf import settings
from django.contrib.admin import sites
from django.utils.decorators import method_decorator
from django.views.decorators.csp import csp_override
from django_otp.admin import OTPAdminAuthenticationForm
from django_otp.plugins.otp_totp.models import TOTPDevice

from api.pages import csp


class LoginForm(OTPAdminAuthenticationForm):
    """Asks for user name, password and code at once: each user has one device at most."""

    otp_device = otp_challenge = None
    otp_token = forms.CharField(
        label="Code of the authenticator app",
        required=False,  # has an error of its own
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def _chosen_device(self, user: Any) -> TOTPDevice | None:
        return TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True).first()

    def _update_form(self, user: Any) -> None:
        """Repeats no password in the page, as django-otp does for a second step."""


@method_decorator(csp_override(csp.ADMIN), name="login")
class AdminSite(sites.AdminSite):
    """Staff log in with their password and the code of an authenticator app; with the password
    alone unless `ADMIN_OTP_REQUIRED`.
    """

    login_form = LoginForm if settings.ADMIN_OTP_REQUIRED else None
    login_template = "admin/login_with_code.html" if settings.ADMIN_OTP_REQUIRED else None

    @override
    def has_permission(self, request: Any) -> bool:
        is_verified = not settings.ADMIN_OTP_REQUIRED or request.user.is_verified()
        return is_verified and super().has_permission(request)

    @override
    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return csp_override(csp.ADMIN)(super().admin_view(view, cacheable))
