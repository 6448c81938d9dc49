"""Client of Rollcall: `Rollcall` for people, `Backend` for the operator's backends; the same for
asyncio: `AsyncRollcall`, `AsyncBackend`.
"""

from rollcall_client.async_backend import AsyncBackend
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
    TokenResult,
    TokenState,
)
from rollcall_client.retry import Retry
from rollcall_client.secret import Secret
from rollcall_client.sync_backend import Backend
from rollcall_client.sync_client import Rollcall

__all__ = [
    "AsyncBackend",
    "AsyncRollcall",
    "Backend",
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
    "TokenResult",
    "TokenState",
    "UnexpectedResponse",
]
