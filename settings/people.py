"""Settings of people: their sessions, their phone numbers, unfinished sign-ups."""

from datetime import timedelta

from settings import validators
from settings.addresses import validate_region
from settings.environment import env

# days until a session expires
SESSION_LIFETIME = timedelta(days=env.int("SESSION_LIFETIME_DAYS", 30, validate=validators.days))
# days after the sign-in for which a session lasts at most, however often it is refreshed
SESSION_MAX_LIFETIME = timedelta(
    days=env.int("SESSION_MAX_LIFETIME_DAYS", 365, validate=validators.days)
)
# ISO 3166-1 country of phone numbers without a country code; empty: they are refused
DEFAULT_PHONE_REGION = env.str("DEFAULT_PHONE_REGION", "", validate=validate_region).upper() or None
# days after which people who confirmed no address are erased
UNVERIFIED_RETENTION = timedelta(
    days=env.int("UNVERIFIED_RETENTION_DAYS", 7, validate=validators.days)
)
IDEMPOTENCY_REPLAY_WINDOW = timedelta(minutes=10)  # for repeating a sign-up by its key
