"""What can go wrong, as code words that clients may rely on.

The text of these exceptions is their code word and nothing else, so that no address, code or
token can travel into a log, a task's result or a dashboard by way of an exception.
"""

from dataclasses import dataclass


class RollcallError(Exception):
    """A failure with a stable code word; `str()` of it is that word."""

    code = "internal_error"

    def __init__(self, code: str | None = None) -> None:
        self.code = code or self.code
        super().__init__(self.code)


class InvalidToken(RollcallError):
    """No session answers to this bearer token."""

    code = "invalid_token"


class InvalidCode(RollcallError):
    """The code or link confirms nothing."""

    code = "code_invalid"


class ExpiredCode(RollcallError):
    """The code or link was right once, or may have been, and is out of date."""

    code = "code_expired"


class PreconditionFailed(RollcallError):
    """The profile is not (or not any more) the one that the client has in mind."""

    code = "precondition_failed"


class RetryableError(RollcallError):
    """The same request may succeed later: after `retry_after` seconds."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after


class TooManyAttempts(RetryableError):
    """All tries are used up."""

    code = "too_many_attempts"


class RateLimited(RetryableError):
    """This happens too often."""

    code = "rate_limited"


class ServiceUnavailable(RetryableError):
    """A dependency is away."""

    code = "unavailable"


class IdempotencyInProgress(RetryableError):
    """A request with this key is being worked on."""

    code = "idempotency_in_progress"


class IdempotencyClosed(RollcallError):
    """What was done with this key cannot be answered again: too late, or its person is in use."""

    code = "idempotency_closed"


class IdempotencyMismatch(RollcallError):
    """This key was used with another body."""

    code = "idempotency_mismatch"


class QuotaExceeded(RollcallError):
    """A message may not be sent: not yet, if there is a `retry_after` in seconds, or not at all.

    Never shown to clients: the code says which budget it was, for operators.
    """

    code = "quota_exceeded"

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class AddressAlreadyVerified(RollcallError):
    """Somebody else has confirmed this address already. Never shown: clients see `code_invalid`."""

    code = "address_already_verified"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a field: a stable word and a sentence for people."""

    code: str
    message: str


class InvalidField(ValueError):
    """A value that its field does not take; carries the `Problem`, never the value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.error = FieldError(code, message)
