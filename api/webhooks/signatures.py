"""Errors and the timestamp check that both providers' signatures share."""

import time
from datetime import UTC, datetime

from django.conf import settings

from domain.model.errors import RollcallError

CLOCK_SKEW = 60  # seconds that a provider's clock may be ahead of ours


class InvalidSignature(RollcallError):
    """A receipt without a valid signature; `reason` is for the log.

    All failures give the same response, so a forger gets no hint.
    """

    code = "invalid_signature"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


def check_timestamp(signed_at: int) -> datetime:
    """Returns the Unix time as a datetime. Raises `InvalidSignature` if it is out of range."""
    age = int(time.time()) - signed_at
    if not -CLOCK_SKEW <= age <= settings.WEBHOOK_MAX_AGE:
        raise InvalidSignature("timestamp_out_of_range")
    return datetime.fromtimestamp(signed_at, UTC)
