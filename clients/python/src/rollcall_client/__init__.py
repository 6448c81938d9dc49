"""Client of Rollcall: `Rollcall`, and `AsyncRollcall` for asyncio."""

from rollcall_client.async_client import AsyncRollcall
from rollcall_client.errors import NoResponse, RollcallError, UnexpectedResponse
from rollcall_client.models import (
    ConfirmationStatus,
    ConfirmationStatuses,
    FieldError,
    ListedSession,
    Profile,
    ResendResponse,
    Session,
    SignInChallenge,
    SignUpResponse,
)
from rollcall_client.retry import Retry
from rollcall_client.secret import Secret
from rollcall_client.sync_client import Rollcall

__all__ = [
    "AsyncRollcall",
    "ConfirmationStatus",
    "ConfirmationStatuses",
    "FieldError",
    "ListedSession",
    "NoResponse",
    "Profile",
    "ResendResponse",
    "Retry",
    "Rollcall",
    "RollcallError",
    "Secret",
    "Session",
    "SignInChallenge",
    "SignUpResponse",
    "UnexpectedResponse",
]
