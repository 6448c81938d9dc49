"""Settings of messages: their quotas, and the providers that send them."""

from datetime import timedelta
from urllib.parse import urlsplit

from environs import validate

from settings import validators
from settings.addresses import parse_countries, validate_email
from settings.environment import DATA_DIR, env, read_folder, read_list
from settings.public_keys import parse_p256_key
from workers.providers import standard_webhooks

# --- Quotas, enforced in Postgres at send time ---------------------------------------------------

# messages a day to one address, for each purpose (confirmation, sign-in, notices)
MESSAGES_PER_DAY = env.int("MESSAGES_PER_DAY", 20, validate=validators.at_least_one)
# of these, on request of one network (an IPv4 address, an IPv6 /64); also address changes a day
MESSAGES_PER_NETWORK_PER_DAY = env.int(
    "MESSAGES_PER_NETWORK_PER_DAY", 5, validate=validators.at_least_one
)
# seconds between two messages to one address on request of one network; doubles each time
MESSAGE_COOLDOWN = timedelta(
    seconds=env.int("MESSAGE_COOLDOWN_SECONDS", 60, validate=validate.Range(min=0, max=86_400))
)
# text messages a day for sign-ups, in total
SMS_PER_DAY = env.int("SMS_PER_DAY", 5_000, validate=validators.not_negative)
# text messages a day to owners of verified numbers, which no sign-up uses up; as many again on
# request of networks that the owner has used before
SMS_TO_OWNERS_PER_DAY = env.int("SMS_TO_OWNERS_PER_DAY", 5_000, validate=validators.not_negative)
# text messages a day on request of one network; 0: no limit
SMS_PER_NETWORK_PER_DAY = env.int("SMS_PER_NETWORK_PER_DAY", 20, validate=validators.not_negative)
# whether the text message of a sign-up waits until its e-mail address is confirmed
SMS_AFTER_EMAIL = env.bool("SMS_AFTER_EMAIL", False)
# text messages a day to numbers with the same first six characters
SMS_PER_PREFIX_PER_DAY = env.int("SMS_PER_PREFIX_PER_DAY", 500, validate=validators.not_negative)
# ISO 3166-1 countries that text messages are sent to, such as ES,PT; * alone: all
SMS_COUNTRIES = parse_countries("SMS_COUNTRIES", read_list("SMS_COUNTRIES"))
# codes of sign-ups sent to a prefix after which its conversion rate counts
SMS_CONVERSION_MIN_SAMPLE = env.int(
    "SMS_CONVERSION_MIN_SAMPLE", 100, validate=validators.at_least_one
)
# fraction of these codes that must be used, or sign-ups to that prefix wait
SMS_CONVERSION_MIN_RATE = env.float("SMS_CONVERSION_MIN_RATE", 0.1, validate=validators.fraction)

# --- Texts ---------------------------------------------------------------------------------------
# origin of the service for people, in links of messages: https://host[:port] in production
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8000", validate=validators.web_origin)
PUBLIC_URL = PUBLIC_URL.lower().removesuffix("/")
# name of the service in messages and pages
SERVICE_NAME = env.str("SERVICE_NAME", "Rollcall", validate=validate.Length(max=100))
# domain that browsers may fill a code of a text message into; that of PUBLIC_URL by default
SMS_DOMAIN = env.str(
    "SMS_DOMAIN", urlsplit(PUBLIC_URL).hostname or "localhost", validate=validators.host_name
)
# folder with templates of your own (docs/messages.md); empty: none
MESSAGE_TEMPLATES = read_folder("MESSAGE_TEMPLATES")

# --- Providers -----------------------------------------------------------------------------------
# mailbox (a file) or providers (EMAIL_PROVIDER, SMS_PROVIDER); production always uses providers
MESSAGE_BACKEND = env.str(
    "MESSAGE_BACKEND", "mailbox", validate=validators.one_of(("mailbox", "providers"))
).lower()
MAILBOX_PATH = DATA_DIR / "mailbox.jsonl"
DEV_MAILBOX_ENABLED = False
# provider of e-mails: sendgrid, smtp, or webhook (your own service)
EMAIL_PROVIDER = env.str(
    "EMAIL_PROVIDER", "sendgrid", validate=validators.one_of(("sendgrid", "smtp", "webhook"))
).lower()
# provider of text messages: vonage, or webhook
SMS_PROVIDER = env.str(
    "SMS_PROVIDER", "vonage", validate=validators.one_of(("vonage", "webhook"))
).lower()
# seconds for a provider to accept a connection, and between two parts of its response
PROVIDER_TIMEOUT = env.float("PROVIDER_TIMEOUT", 4.0, validate=validators.timeout)
# origin of SendGrid's API
SENDGRID_HOST = env.str(
    "SENDGRID_HOST", "https://api.sendgrid.com", validate=validators.web_origin
).removesuffix("/")
# key of SendGrid's API
SENDGRID_API_KEY = env.str("SENDGRID_API_KEY", "", validate=validators.token)
EMAIL_FROM = env.str("EMAIL_FROM", "", validate=validate_email)  # sender's address of e-mails
# host of Vonage's SMS API
VONAGE_HOST = env.str("VONAGE_HOST", "rest.nexmo.com", validate=validators.host_and_port)
# key of Vonage's API
VONAGE_API_KEY = env.str("VONAGE_API_KEY", "", validate=validators.token)
# secret of Vonage's API
VONAGE_API_SECRET = env.str("VONAGE_API_SECRET", "", validate=validators.token)
# sender of text messages: 3 to 11 letters and digits, or a number
SMS_FROM = env.str("SMS_FROM", "Rollcall", validate=validators.sms_sender).removeprefix("+")
# host of an SMTP server
SMTP_HOST = env.str("SMTP_HOST", "", validate=validators.optional(validators.host_name))
# its port for submission
SMTP_PORT = env.int("SMTP_PORT", 587, validate=validate.Range(min=1, max=65_535))
# starttls, tls (from the first byte, port 465) or none (on this machine alone)
SMTP_SECURITY = env.str(
    "SMTP_SECURITY", "starttls", validate=validators.one_of(("starttls", "tls", "none"))
).lower()
# user of that server; empty: none
SMTP_USER = env.str("SMTP_USER", "")
# password of that user
SMTP_PASSWORD = env.str("SMTP_PASSWORD", "")
# URL that messages are posted to if a provider is webhook
MESSAGE_WEBHOOK_URL = env.str(
    "MESSAGE_WEBHOOK_URL", "", validate=validators.optional(validators.url)
)
# secret that they are signed with (Standard Webhooks): whsec_ and at least 24 bytes in base64
MESSAGE_WEBHOOK_SECRET = env.str(
    "MESSAGE_WEBHOOK_SECRET",
    "",
    validate=validators.optional(validators.parsed_by(standard_webhooks.parse_secret)),
)
# What production requires of each provider.
PROVIDER_SETTINGS = {
    "sendgrid": ("SENDGRID_API_KEY", "EMAIL_FROM"),
    "smtp": ("SMTP_HOST", "EMAIL_FROM"),
    "vonage": ("VONAGE_API_KEY", "VONAGE_API_SECRET", "SMS_FROM"),
    "webhook": ("MESSAGE_WEBHOOK_URL", "MESSAGE_WEBHOOK_SECRET"),
}

# key that SendGrid signs delivery receipts with; empty: they are rejected
SENDGRID_WEBHOOK_PUBLIC_KEY = parse_p256_key(
    "SENDGRID_WEBHOOK_PUBLIC_KEY", env.str("SENDGRID_WEBHOOK_PUBLIC_KEY", "")
)
# secret that Vonage signs delivery receipts with; empty: they are rejected
VONAGE_SIGNATURE_SECRET = env.str("VONAGE_SIGNATURE_SECRET", "")
WEBHOOK_MAX_AGE = 600  # seconds since a delivery receipt was signed
