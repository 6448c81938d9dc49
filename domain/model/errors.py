"""Errors with stable codes, which clients may rely on.

The text of an exception is its code alone, so that no address, code or token reaches a log, a
task's result or a dashboard through an exception.
"""


class RollcallError(Exception):
    """An error with a stable code; `str()` of it is that code."""

    code = "internal_error"

    def __init__(self, code: str | None = None) -> None:
        self.code = code or self.code
        super().__init__(self.code)


class InvalidToken(RollcallError):
    """The bearer token belongs to no active session."""

    code = "invalid_token"


class OriginNotAllowed(RollcallError):
    """The request has the session's cookie, and may have been sent by another site's page."""

    code = "origin_not_allowed"


class InvalidCode(RollcallError):
    """The code or link token is wrong, superseded or invalidated."""

    code = "code_invalid"


class ExpiredCode(RollcallError):
    """The code or link token has expired."""

    code = "code_expired"


class NotFound(RollcallError):
    """There is no such thing, or it is another person's."""

    code = "not_found"


class PreconditionFailed(RollcallError):
    """No ETag in If-Match is the profile's current one."""

    code = "precondition_failed"


class RetryableError(RollcallError):
    """The same request may succeed after `retry_after` seconds: the response's `Retry-After`."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after


class TooManyAttempts(RetryableError):
    """No attempts are left."""

    code = "too_many_attempts"


class RateLimited(RetryableError):
    """A rate limit is exceeded."""

    code = "rate_limited"


class ServiceUnavailable(RetryableError):
    """A dependency is unavailable."""

    code = "unavailable"


class IdempotencyInProgress(RetryableError):
    """Another request with this idempotency key is in progress."""

    code = "idempotency_in_progress"


class IdempotencyClosed(RollcallError):
    """The key can no longer be replayed: too late, or its person has confirmed an address."""

    code = "idempotency_closed"


class IdempotencyMismatch(RollcallError):
    """The idempotency key was used with another body."""

    code = "idempotency_mismatch"


class QuotaExceeded(RollcallError):
    """A message exceeds a quota until `retry_after` seconds have passed; None: by then the message
    is of no use.

    Never shown to clients: the code names the quota, for operators.
    """

    code = "quota_exceeded"

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.retry_after = retry_after


class InvalidField(RollcallError):
    """A value is invalid for its field. `template` is a text for people, which never contains the
    value; it is translated before `params` replace their names in braces.
    """

    def __init__(self, code: str, template: str, **params: object) -> None:
        super().__init__(code)
        self.template, self.params = template, params
