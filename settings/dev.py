"""Development: what `make run` starts. Nothing leaves the machine; `DEBUG` is off unless asked."""

from datetime import timedelta

from settings.base import *  # noqa: F403  # settings modules extend one another
from settings.base import env
from settings.limits import WIDE, rate_limits

DEV_MAILBOX_PAGE = True
# Wide, so that a load can be run from one machine, and everything be tried again at once.
MESSAGES_A_DAY = env.int("MESSAGES_A_DAY", 1_000)
MESSAGE_PAUSE = timedelta(seconds=env.int("MESSAGE_PAUSE", 0))
SMS_A_DAY = env.int("SMS_A_DAY", 10_000_000)
SMS_A_DAY_PREFIX = env.int("SMS_A_DAY_PREFIX", 10_000_000)
SMS_BREAKER_LEAST = env.int("SMS_BREAKER_LEAST", 10_000_000)
RATE_LIMITS = rate_limits(env, WIDE)
