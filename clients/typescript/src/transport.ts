import { NoResponse, RollcallError, UnexpectedResponse } from "./errors.js";
import { BY_CODE, InvalidToken, NotFound } from "./problems.js";
import { DEFAULT_RETRY, retryDelay, sleep, type Retry } from "./retry.js";
import type { ErrorCode, ProblemDetails } from "./schema.js";

export interface TransportOptions {
  /** Seconds for each request, its response included; by default 10. */
  timeout?: number;
  /** By default four requests within half a minute. */
  retry?: Retry;
  /** Replaces the global one. */
  fetch?: typeof fetch;
}

export type Transport = Required<TransportOptions> & { credentials: RequestCredentials };

/** What is passed to openapi-fetch with each call. */
export type Call = {
  headers?: Record<string, string>;
  fetch: (request: Request) => Promise<Response>;
};

export function makeTransport(
  options: TransportOptions, credentials: RequestCredentials = "omit",
): Transport {
  return {
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    timeout: options.timeout ?? 10,
    retry: options.retry ?? DEFAULT_RETRY,
    credentials,
  };
}

/** Returns the body of a successful response. */
export async function data<T>(call: Promise<{ data?: T; response: Response }>): Promise<T> {
  const { data, response } = await call;
  return data ?? missingBody(response);
}

export function missingBody({ status }: Response): never {
  const details = { code: "unexpected_response", status };
  throw new UnexpectedResponse("The response has no body.", details);
}

/**
 * Sends a request, again if that is safe (`repeat`) and within the bounds; returns the successful
 * response, whole. Throws the `RollcallError` of the last one.
 */
export async function send(transport: Transport, request: Request, repeat: boolean) {
  const started = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await sendOnce(transport, request.clone());
    } catch (error) {
      if (!(error instanceof RollcallError)) throw error;
      const hasEnded = error instanceof InvalidToken || error instanceof NotFound;
      // What the first request has ended cannot be ended again.
      if (request.method === "DELETE" && attempt > 1 && hasEnded) {
        return new Response(null, { status: 204 });
      }
      const elapsed = (performance.now() - started) / 1000;
      const delay = retryDelay(transport.retry, attempt, elapsed, error);
      if (!repeat || delay === undefined) throw error;
      await sleep(delay);
    }
  }
}

async function sendOnce(transport: Transport, request: Request): Promise<Response> {
  const { fetch, timeout, credentials } = transport;
  let response: Response, text: string;
  try {
    const signal = AbortSignal.timeout(timeout * 1000);
    response = await fetch(request, { signal, credentials, redirect: "manual" });
    text = await response.text();
  } catch (cause) {
    throw new NoResponse("No response.", { code: "no_response" }, { cause });
  }
  const { status, headers } = response;
  if (status === 204 || status === 304) return new Response(null, { status, headers });
  if (!response.ok) throw errorFromResponse(response, text);
  parse(text, response);
  return new Response(text, { status, headers });
}

/** Returns the object in a body: all of Rollcall's are objects. */
function parse(text: string, { status }: Response): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // It is not thrown on: it quotes the text, which may have a token.
  }
  const detail = `The response has the status ${status}, and no JSON object.`;
  throw new UnexpectedResponse(detail, { code: "unexpected_response", status });
}

function errorFromResponse(response: Response, text: string): RollcallError {
  const problem: Partial<ProblemDetails> = parse(text, response);
  const code: string = problem.code ?? "unexpected_response";
  const value = response.headers.get("Retry-After") ?? "";
  const details = {
    code,
    status: response.status,
    requestId: response.headers.get("X-Request-ID") ?? "",
    // A date is not sent by the service.
    retryAfter: /^\d+$/.test(value) ? Number(value) : undefined,
    errors: problem.errors ?? [],
  };
  const unknown = problem.code ? RollcallError : UnexpectedResponse;
  const errorClass = Object.hasOwn(BY_CODE, code) ? BY_CODE[code as ErrorCode] : unknown;
  const detail = problem.detail ?? `The response has the status ${response.status}.`;
  return new errorClass(detail, details);
}
