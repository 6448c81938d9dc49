// Generated from the OpenAPI document by `make clients`: do not edit.
import { RollcallError } from "./errors.js";
import type { ErrorCode } from "./schema.js";

/** The request cannot be understood. */
export class BadRequest extends RollcallError {}
/** The body is too large. */
export class BodyTooLarge extends RollcallError {}
/** The code has expired. */
export class CodeExpired extends RollcallError {}
/** The code is not valid. */
export class CodeInvalid extends RollcallError {}
/** Permission denied. */
export class Forbidden extends RollcallError {}
/** This Idempotency-Key can no longer be replayed; sign in instead. */
export class IdempotencyClosed extends RollcallError {}
/** A request with this Idempotency-Key is in progress. */
export class IdempotencyInProgress extends RollcallError {}
/** This Idempotency-Key was used with another body. */
export class IdempotencyMismatch extends RollcallError {}
/** Internal server error. */
export class InternalError extends RollcallError {}
/** The signature is missing, invalid or expired. */
export class InvalidSignature extends RollcallError {}
/** Send a valid session token as: Authorization: Bearer <token>. */
export class InvalidToken extends RollcallError {}
/** The body is not valid JSON. */
export class MalformedJson extends RollcallError {}
/** The method is not allowed for this resource; see Allow. */
export class MethodNotAllowed extends RollcallError {}
/** Not found. */
export class NotFound extends RollcallError {}
/** With a session cookie, changes need an Origin that is allowed. */
export class OriginNotAllowed extends RollcallError {}
/** If-Match or If-None-Match does not hold for the current ETag. */
export class PreconditionFailed extends RollcallError {}
/** Too many requests; see Retry-After. */
export class RateLimited extends RollcallError {}
/** The request was not complete in time. */
export class RequestTimeout extends RollcallError {}
/** Too many attempts; request a new code. */
export class TooManyAttempts extends RollcallError {}
/** A dependency is unavailable; retry later. */
export class Unavailable extends RollcallError {}
/** Send the body as application/json. */
export class UnsupportedMediaType extends RollcallError {}
/** Some fields are missing or wrong; see errors. */
export class ValidationFailed extends RollcallError {}

export const BY_CODE: Record<ErrorCode, typeof RollcallError> = {
  bad_request: BadRequest,
  body_too_large: BodyTooLarge,
  code_expired: CodeExpired,
  code_invalid: CodeInvalid,
  forbidden: Forbidden,
  idempotency_closed: IdempotencyClosed,
  idempotency_in_progress: IdempotencyInProgress,
  idempotency_mismatch: IdempotencyMismatch,
  internal_error: InternalError,
  invalid_signature: InvalidSignature,
  invalid_token: InvalidToken,
  malformed_json: MalformedJson,
  method_not_allowed: MethodNotAllowed,
  not_found: NotFound,
  origin_not_allowed: OriginNotAllowed,
  precondition_failed: PreconditionFailed,
  rate_limited: RateLimited,
  request_timeout: RequestTimeout,
  too_many_attempts: TooManyAttempts,
  unavailable: Unavailable,
  unsupported_media_type: UnsupportedMediaType,
  validation_failed: ValidationFailed,
};
