"""What both providers' signatures have in common."""

import time
from datetime import UTC, datetime

from django.conf import settings

from domain.errors import RollcallError

# How far a provider's clock may be ahead of ours, in seconds.
AHEAD = 60


class NotAReceipt(RollcallError):
    """Not what a provider has signed for us; `reason` is a word for the log.

    The answer is the same whatever is wrong: who cannot sign learns nothing of how we look.
    """

    code = "invalid_signature"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def fresh(signed_at: int) -> datetime:
    """When it was signed, given in seconds since 1970. Raises `NotAReceipt` if not just now."""
    age = int(time.time()) - signed_at
    if not -AHEAD <= age <= settings.WEBHOOK_MAX_AGE:
        raise NotAReceipt("not_fresh")
    return datetime.fromtimestamp(signed_at, UTC)
