"""Production: refuses to start without its secrets, or with one that came from development."""

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import (
    METRICS_TOKEN,
    PUBLIC_URL,
    SECRET_KEY,
    SECRET_KEY_FALLBACKS,
    SMS_COUNTRIES,
    env,
)

_NEEDED = [
    "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "QUEUE_URL", "ALLOWED_HOSTS", "PUBLIC_URL",
    "SENDGRID_API_KEY", "EMAIL_FROM", "VONAGE_API_KEY", "VONAGE_API_SECRET", "SMS_FROM",
    "SMS_COUNTRIES",
]  # fmt: skip  # one glance shows the whole list
_missing = [name for name in _NEEDED if not env.str(name, "").strip()]
if _missing:
    raise ImproperlyConfigured(f"Production needs these settings: {', '.join(_missing)}.")
for _secret in [SECRET_KEY, *SECRET_KEY_FALLBACKS]:
    if len(_secret) < 50 or len(set(_secret)) < 5 or "development" in _secret.lower():
        raise ImproperlyConfigured(
            "SECRET_KEY and SECRET_KEY_FALLBACKS: use at least 50 random characters, and none of"
            " a development machine."
        )
if SMS_COUNTRIES == ["*"]:  # whoever wants to send everywhere must say so
    SMS_COUNTRIES = []
if METRICS_TOKEN and len(METRICS_TOKEN) < 20:
    raise ImproperlyConfigured("METRICS_TOKEN needs at least 20 random characters.")
if not PUBLIC_URL.startswith("https://"):
    raise ImproperlyConfigured("PUBLIC_URL must begin with https://.")

DEBUG = False
DELIVERY = "providers"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^livez/?$", r"^readyz/?$", r"^metrics/?$"]  # they come from inside
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
if env.bool("BEHIND_TLS_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
