"""Production: refuses to start without its secrets, or with one that came from development."""

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import PUBLIC_URL, SMS_COUNTRIES
from settings.environment import BEHIND_TLS_PROXY, HSTS_SECONDS, InvalidSetting, require

require(
    "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "QUEUE_URL", "ALLOWED_HOSTS", "PUBLIC_URL",
    "SENDGRID_API_KEY", "EMAIL_FROM", "VONAGE_API_KEY", "VONAGE_API_SECRET", "SMS_FROM",
    "SMS_COUNTRIES",
)  # fmt: skip  # one glance shows the whole list
if SMS_COUNTRIES == ["*"]:  # whoever wants to send everywhere must say so
    SMS_COUNTRIES = []
if not PUBLIC_URL.startswith("https://"):
    raise InvalidSetting("PUBLIC_URL must begin with https://.")

DEBUG = False
DELIVERY = "providers"
SECURE_REDIRECT_EXEMPT = [r"^livez/?$", r"^readyz/?$", r"^metrics/?$"]  # they come from inside
SECURE_HSTS_SECONDS = HSTS_SECONDS
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
