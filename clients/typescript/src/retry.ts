import { NoResponse, type RollcallError } from "./errors.js";

/** Bounds for the repetitions of one call. `attempts: 1` repeats nothing. */
export interface Retry {
  /** How many requests at most. */
  attempts: number;
  /** Seconds within which the last one begins. */
  total: number;
}

export const DEFAULT_RETRY: Retry = { attempts: 4, total: 30 };

/**
 * Returns the seconds until the next request, undefined if there is none. `attempt` counts from 1;
 * `elapsed` are the seconds since the first one began.
 */
export function retryDelay(
  retry: Retry, attempt: number, elapsed: number, error: RollcallError,
): number | undefined {
  // In progress is the request whose connection was lost.
  const isInProgress = error.code === "idempotency_in_progress";
  const isTemporary = error.status === 503 || error instanceof NoResponse || isInProgress;
  if (attempt >= retry.attempts || !isTemporary) return undefined;
  // All clients lose their connections at the same moment: they must not all return at one.
  const wait = error.retryAfter ?? (0.5 + Math.random() / 2) * 0.2 * 2 ** attempt;
  return elapsed + wait <= retry.total ? wait : undefined;
}

export const sleep = (seconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));
