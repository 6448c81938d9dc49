"""Settings of events: the webhook that they are delivered to (docs/events.md)."""

from datetime import timedelta

from environs import validate

from settings import validators
from settings.environment import InvalidSetting, env, read_list
from workers.providers import standard_webhooks

# URL that events are posted to, https:// in production; empty: none are written
EVENT_WEBHOOK_URL = env.str("EVENT_WEBHOOK_URL", "", validate=validators.optional(validators.url))
# secret that they are signed with (Standard Webhooks): whsec_ and at least 24 bytes in base64;
# while it is replaced, the old and the new one, separated by a comma
EVENT_WEBHOOK_SECRET = read_list(
    "EVENT_WEBHOOK_SECRET", validators.parsed_by(standard_webhooks.parse_secret)
)
# whether events carry the profile as it is when they are delivered
EVENT_WEBHOOK_PROFILE = env.bool("EVENT_WEBHOOK_PROFILE", False)
# seconds for a receiver to accept an event, connecting included
EVENT_WEBHOOK_TIMEOUT = env.float(
    "EVENT_WEBHOOK_TIMEOUT", 10.0, validate=validate.Range(min=0.1, max=60)
)
# events of different people that one relay delivers at once
EVENT_WEBHOOK_CONCURRENCY = env.int(
    "EVENT_WEBHOOK_CONCURRENCY", 16, validate=validate.Range(min=1, max=256)
)
# days after which delivered and failed events are purged; until then they can be replayed
EVENT_RETENTION = timedelta(days=env.int("EVENT_RETENTION_DAYS", 7, validate=validators.days))

if EVENT_WEBHOOK_URL and not EVENT_WEBHOOK_SECRET:
    raise InvalidSetting("EVENT_WEBHOOK_URL needs EVENT_WEBHOOK_SECRET too.")
