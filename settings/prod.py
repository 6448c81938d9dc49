"""Production: refuses to start without its secrets, or with one from development."""

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import (
    EMAIL_PROVIDER,
    EVENT_WEBHOOK_URL,
    PROVIDER_SETTINGS,
    PUBLIC_URL,
    SMS_PROVIDER,
)
from settings.environment import HSTS_SECONDS, TRUST_X_FORWARDED_PROTO, InvalidSetting, require

require(
    "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "QUEUE_URL", "ALLOWED_HOSTS", "PUBLIC_URL",
    *PROVIDER_SETTINGS[EMAIL_PROVIDER], *PROVIDER_SETTINGS[SMS_PROVIDER],
    "SMS_COUNTRIES", "TRUSTED_PROXIES",
)  # fmt: skip  # one glance shows the whole list; all countries, or no proxy, is explicit
if not PUBLIC_URL.startswith("https://"):
    raise InvalidSetting("PUBLIC_URL must begin with https://.")
if EVENT_WEBHOOK_URL and not EVENT_WEBHOOK_URL.lower().startswith("https://"):
    raise InvalidSetting("EVENT_WEBHOOK_URL must begin with https://.")

DEBUG = False
MESSAGE_BACKEND = "providers"
SECURE_REDIRECT_EXEMPT = [r"^livez/?$", r"^readyz/?$", r"^metrics/?$"]  # probed from inside
SECURE_HSTS_SECONDS = HSTS_SECONDS
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers accept these names from this host over HTTPS only (RFC 6265bis section 4.1.3).
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
if TRUST_X_FORWARDED_PROTO:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
