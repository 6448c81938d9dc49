# Generated from the OpenAPI document by `make clients`: do not edit.

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from rollcall_client.secret import Secret


@dataclass(frozen=True, kw_only=True)
class ConfirmEmailRequest:
    """The code from the e-mail (with a Bearer token), or the token from its link (without)."""

    code: str | None = None
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConfirmPhoneRequest:
    """The code from a message."""

    code: str


@dataclass(frozen=True, kw_only=True)
class ConfirmationStatus:
    """The confirmation status of one channel."""

    status: Literal["queued", "sent", "delivered", "failed", "confirmed"]
    resend_available_at: datetime | None
    attempts_left: int
    pending: str | None


@dataclass(frozen=True, kw_only=True)
class ConfirmationStatuses:
    email: ConfirmationStatus
    phone: ConfirmationStatus


@dataclass(frozen=True, kw_only=True)
class EmailConfirmed:
    email_verified: bool


@dataclass(frozen=True, kw_only=True)
class ExportedRow:
    """A row of an export; which fields it has depends on its list."""

    id: str | None = None
    channel: str | None = None
    address: str | None = None
    kind: str | None = None
    attempts: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    user_agent: str | None = None
    network: str | None = None
    confirmed_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class FieldError:
    field: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class IntrospectionFormRequest:
    """One token (RFC 7662 section 2.1)."""

    token: str
    token_type_hint: str | None = None
    claims: Literal["profile"] | None = None


@dataclass(frozen=True, kw_only=True)
class IntrospectionListRequest:
    """Many tokens, each once."""

    tokens: list[str]
    claims: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ListedSession:
    """An active session."""

    id: str
    created_at: datetime
    expires_at: datetime
    user_agent: str
    network: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class PhoneConfirmed:
    phone_verified: bool


@dataclass(frozen=True, kw_only=True)
class ProblemDetails:
    type: str
    title: str
    detail: str
    request_id: str
    status: int
    code: Literal[
        "bad_request",
        "body_too_large",
        "code_expired",
        "code_invalid",
        "forbidden",
        "idempotency_closed",
        "idempotency_in_progress",
        "idempotency_mismatch",
        "internal_error",
        "invalid_signature",
        "invalid_token",
        "malformed_json",
        "method_not_allowed",
        "not_found",
        "origin_not_allowed",
        "precondition_failed",
        "rate_limited",
        "request_timeout",
        "too_many_attempts",
        "unavailable",
        "unsupported_media_type",
        "validation_failed",
    ]
    errors: list[FieldError] | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profile."""

    name: str
    surname: str
    email: str
    phone: str
    hobbies: list[str]
    email_verified: bool
    phone_verified: bool


@dataclass(frozen=True, kw_only=True)
class ResendResponse:
    """When the next message may be requested; null if no confirmation is pending."""

    resend_available_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A new session."""

    token_type: Literal["Bearer", "Cookie"]
    expires_at: datetime
    token: Secret | None = None


@dataclass(frozen=True, kw_only=True)
class SessionList:
    sessions: list[ListedSession]


@dataclass(frozen=True, kw_only=True)
class SessionResponse:
    session: Session


@dataclass(frozen=True, kw_only=True)
class SignInChallenge:
    """A sign-in challenge, the same for known and unknown addresses."""

    challenge: Secret
    expires_at: datetime
    resend_available_at: datetime


@dataclass(frozen=True, kw_only=True)
class SignInCodeRequest:
    """A confirmed address to sign in with: either the e-mail address or the phone number."""

    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignInRequest:
    """The challenge, and the code that was sent to its address."""

    challenge: str
    code: str
    session_cookie: bool | None = False


@dataclass(frozen=True, kw_only=True)
class SignUpRequest:
    """A new person."""

    name: str
    surname: str
    email: str
    phone: str
    hobbies: list[str] | str | None = field(default_factory=list)
    locale: str | None = None
    session_cookie: bool | None = False


@dataclass(frozen=True, kw_only=True)
class SignUpResponse:
    """A new person and their first session."""

    id: str
    profile: Profile
    session: Session


@dataclass(frozen=True, kw_only=True)
class TokenResult:
    """The state of one of many tokens, or `error`: it is to be asked for again."""

    active: bool | None = None
    sub: str | None = None
    exp: int | None = None
    token_type: Literal["Bearer"] | None = None
    claims: Profile | None = None
    error: Literal["unavailable"] | None = None


@dataclass(frozen=True, kw_only=True)
class TokenResults:
    """The states of many tokens, in their order."""

    results: list[TokenResult]


@dataclass(frozen=True, kw_only=True)
class TokenState:
    """The state of a token (RFC 7662 section 2.2)."""

    active: bool
    sub: str | None = None
    exp: int | None = None
    token_type: Literal["Bearer"] | None = None
    claims: Profile | None = None


@dataclass(frozen=True, kw_only=True)
class UpdateProfileRequest:
    """The fields to change; those left out stay."""

    name: str | None = None
    surname: str | None = None
    email: str | None = None
    phone: str | None = None
    hobbies: list[str] | str | None = None
    locale: str | None = None


@dataclass(frozen=True, kw_only=True)
class Export:
    """All data that is kept about a person."""

    id: str
    profile: Profile
    created_at: datetime
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    locale: str | None
    sessions: list[ExportedRow]
    confirmations: list[ExportedRow]
    sign_ins: list[ExportedRow]
    known_networks: list[ExportedRow]
    idempotency_keys: list[ExportedRow]
    events: list[ExportedRow]
    messages: list[ExportedRow]


type Introspection = TokenState | TokenResults
