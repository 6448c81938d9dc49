import type { FieldError } from "./schema.js";

export interface ErrorDetails {
  /** Stable, one of `ErrorCode`, or one that this client does not know. */
  code: string;
  /** Of the response; 0 without one. */
  status: number;
  /** To quote to the operators. */
  requestId: string;
  /** Seconds to wait, if the service says so. */
  retryAfter: number | undefined;
  /** Every wrong field of a `ValidationFailed`. */
  errors: FieldError[];
}

/** An error with a stable `code`; each code of the API has a class of its own. */
export class RollcallError extends Error implements ErrorDetails {
  readonly code: string;
  readonly status: number;
  readonly requestId: string;
  readonly retryAfter: number | undefined;
  readonly errors: FieldError[];

  constructor(detail: string, details: Partial<ErrorDetails> = {}, options?: ErrorOptions) {
    super(detail, options);
    this.name = new.target.name;
    this.code = details.code ?? "unknown";
    this.status = details.status ?? 0;
    this.requestId = details.requestId ?? "";
    this.retryAfter = details.retryAfter;
    this.errors = details.errors ?? [];
  }
}

/**
 * The service could not be reached, or did not respond in time; whether it has carried out the
 * request is unknown.
 */
export class NoResponse extends RollcallError {}

/** A response that is not Rollcall's, such as the page of a load balancer. */
export class UnexpectedResponse extends RollcallError {}
