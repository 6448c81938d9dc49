"""Development: what `make run` starts. Nothing leaves the machine; `DEBUG` is off unless set."""

from datetime import timedelta

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import env
from settings.rate_limits import DEVELOPMENT_LIMITS, parse_rate_limits

DEV_MAILBOX_ENABLED = True
# Large, so that load tests run from one machine, and everything can be repeated at once.
MESSAGES_PER_DAY = env.int("MESSAGES_PER_DAY", 1_000)
MESSAGES_PER_NETWORK_PER_DAY = env.int("MESSAGES_PER_NETWORK_PER_DAY", 1_000)
MESSAGE_COOLDOWN = timedelta(seconds=env.int("MESSAGE_COOLDOWN_SECONDS", 0))
SMS_PER_DAY = env.int("SMS_PER_DAY", 10_000_000)
SMS_TO_OWNERS_PER_DAY = env.int("SMS_TO_OWNERS_PER_DAY", 10_000_000)
SMS_PER_NETWORK_PER_DAY = env.int("SMS_PER_NETWORK_PER_DAY", 0)
SMS_PER_PREFIX_PER_DAY = env.int("SMS_PER_PREFIX_PER_DAY", 10_000_000)
SMS_CONVERSION_MIN_SAMPLE = env.int("SMS_CONVERSION_MIN_SAMPLE", 10_000_000)
RATE_LIMITS = parse_rate_limits(env, DEVELOPMENT_LIMITS)
