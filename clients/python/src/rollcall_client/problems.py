"""An error for each code of the API.

Generated from the OpenAPI document by `make clients`: do not edit.
"""

from rollcall_client.errors import RollcallError


class BadRequest(RollcallError):
    """The request cannot be understood."""

    code = "bad_request"


class BodyTooLarge(RollcallError):
    """The body is too large."""

    code = "body_too_large"


class CodeExpired(RollcallError):
    """The code has expired."""

    code = "code_expired"


class CodeInvalid(RollcallError):
    """The code is not valid."""

    code = "code_invalid"


class Forbidden(RollcallError):
    """Permission denied."""

    code = "forbidden"


class IdempotencyClosed(RollcallError):
    """This Idempotency-Key can no longer be replayed; sign in instead."""

    code = "idempotency_closed"


class IdempotencyInProgress(RollcallError):
    """A request with this Idempotency-Key is in progress."""

    code = "idempotency_in_progress"


class IdempotencyMismatch(RollcallError):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_mismatch"


class InternalError(RollcallError):
    """Internal server error."""

    code = "internal_error"


class InvalidSignature(RollcallError):
    """The signature is missing, invalid or expired."""

    code = "invalid_signature"


class InvalidToken(RollcallError):
    """Send a valid session token as: Authorization: Bearer <token>."""

    code = "invalid_token"


class MalformedJson(RollcallError):
    """The body is not valid JSON."""

    code = "malformed_json"


class MethodNotAllowed(RollcallError):
    """The method is not allowed for this resource; see Allow."""

    code = "method_not_allowed"


class NotFound(RollcallError):
    """Not found."""

    code = "not_found"


class OriginNotAllowed(RollcallError):
    """With a session cookie, changes need an Origin that is allowed."""

    code = "origin_not_allowed"


class PreconditionFailed(RollcallError):
    """If-Match or If-None-Match does not hold for the current ETag."""

    code = "precondition_failed"


class RateLimited(RollcallError):
    """Too many requests; see Retry-After."""

    code = "rate_limited"


class RequestTimeout(RollcallError):
    """The request was not complete in time."""

    code = "request_timeout"


class TooManyAttempts(RollcallError):
    """Too many attempts; request a new code."""

    code = "too_many_attempts"


class Unavailable(RollcallError):
    """A dependency is unavailable; retry later."""

    code = "unavailable"


class UnsupportedMediaType(RollcallError):
    """Send the body as application/json."""

    code = "unsupported_media_type"


class ValidationFailed(RollcallError):
    """Some fields are missing or wrong; see errors."""

    code = "validation_failed"


BY_CODE: dict[str, type[RollcallError]] = {
    "bad_request": BadRequest,
    "body_too_large": BodyTooLarge,
    "code_expired": CodeExpired,
    "code_invalid": CodeInvalid,
    "forbidden": Forbidden,
    "idempotency_closed": IdempotencyClosed,
    "idempotency_in_progress": IdempotencyInProgress,
    "idempotency_mismatch": IdempotencyMismatch,
    "internal_error": InternalError,
    "invalid_signature": InvalidSignature,
    "invalid_token": InvalidToken,
    "malformed_json": MalformedJson,
    "method_not_allowed": MethodNotAllowed,
    "not_found": NotFound,
    "origin_not_allowed": OriginNotAllowed,
    "precondition_failed": PreconditionFailed,
    "rate_limited": RateLimited,
    "request_timeout": RequestTimeout,
    "too_many_attempts": TooManyAttempts,
    "unavailable": Unavailable,
    "unsupported_media_type": UnsupportedMediaType,
    "validation_failed": ValidationFailed,
}
