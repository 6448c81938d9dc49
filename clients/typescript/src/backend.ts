import createClient, { type Client } from "openapi-fetch";

import type { TokenResult, TokenResults, TokenState, paths } from "./schema.js";
import { data, makeTransport, send, type Call, type TransportOptions } from "./transport.js";

const MAX_TOKENS = 1000; // of one request

export interface BackendOptions extends TransportOptions {
  /** Made by `manage.py backends make`. */
  key: string;
}

/** A client for the operator's own backends: whose session tokens are they? */
export class Backend {
  readonly #api: Client<paths>;
  readonly #call: Call;

  constructor(baseUrl: string, options: BackendOptions) {
    const transport = makeTransport(options);
    this.#api = createClient<paths>({ baseUrl });
    this.#call = {
      headers: { Authorization: `Bearer ${options.key}` },
      fetch: (request) => send(transport, request, true),
    };
  }

  /** Returns whether a token is `active`, and whose (`sub`); with `claims` their profile. */
  async introspect(token: string, options: { claims?: boolean } = {}): Promise<TokenState> {
    const headers = { ...this.#call.headers, "Content-Type": "application/x-www-form-urlencoded" };
    const body = options.claims ? { token, claims: "profile" as const } : { token };
    const call = this.#api.POST("/api/v1/introspect/", { ...this.#call, headers, body });
    return (await data(call)) as TokenState;
  }

  /**
   * Returns the states of tokens, in their order. One that has an `error` has to be asked for
   * again.
   */
  async introspectMany(
    tokens: string[], options: { claims?: boolean } = {},
  ): Promise<TokenResult[]> {
    const unique = [...new Set(tokens)];
    const found = new Map<string, TokenResult>();
    for (let start = 0; start < unique.length; start += MAX_TOKENS) {
      const batch = unique.slice(start, start + MAX_TOKENS);
      const body = { tokens: batch, claims: options.claims ?? false };
      const call = this.#api.POST("/api/v1/introspect/", { ...this.#call, body });
      const { results } = (await data(call)) as TokenResults;
      batch.forEach((token, index) => found.set(token, results[index]!));
    }
    return tokens.map((token) => found.get(token)!);
  }
}
