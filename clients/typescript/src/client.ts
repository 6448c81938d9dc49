import createClient, { type Client } from "openapi-fetch";

import { RollcallError } from "./errors.js";
import { InvalidToken } from "./problems.js";
import type {
  ConfirmationStatuses, Export, ListedSession, Profile, ResendResponse, Session, SignInChallenge,
  SignInCodeRequest, SignUpRequest, SignUpResponse, UpdateProfileRequest, paths,
} from "./schema.js";
import { SessionState } from "./session.js";
import {
  data, makeTransport, missingBody, send, type Call, type Transport, type TransportOptions,
} from "./transport.js";

export interface RollcallOptions extends TransportOptions {
  /** The session to begin with, from a storage. */
  session?: Session | undefined;
  /**
   * Called with each new session or token, and with undefined at its end: keep it there. The call
   * that made it waits for the result.
   */
  onSession?: (session: Session | undefined) => void | Promise<void>;
  /**
   * The browser has the token as a cookie, which scripts cannot read; requests have it
   * (`credentials: "include"`).
   */
  sessionCookie?: boolean;
  /** Seconds before the end of a token from which on the next call replaces it. */
  refreshBefore?: number;
}

/**
 * A client of the service at `baseUrl`, for one person at a time.
 *
 * Every method rejects with a `RollcallError`. Repeated, as `retry` says, is what is safe to repeat,
 * if the service is unavailable or the connection breaks: reads, revocations, `deleteProfile`,
 * `refreshSession`, and `signUp`, which has an idempotency key.
 */
export class Rollcall {
  readonly #api: Client<paths>;
  readonly #transport: Transport;
  readonly #onSession: RollcallOptions["onSession"];
  readonly #sessionCookie: boolean;
  #state: SessionState;

  constructor(baseUrl: string, options: RollcallOptions = {}) {
    this.#api = createClient<paths>({ baseUrl });
    this.#sessionCookie = options.sessionCookie ?? false;
    this.#transport = makeTransport(options, this.#sessionCookie ? "include" : "omit");
    this.#onSession = options.onSession;
    this.#state = new SessionState(options.session, options.refreshBefore ?? 86_400);
  }

  /** The current session, with its token unless that is a cookie. */
  get session(): Session | undefined {
    return this.#state.session;
  }

  /**
   * Creates a person, and signs in as them. Two codes are sent.
   *
   * After a `NoResponse`, sign up again with the same `idempotencyKey` (16 to 255 visible ASCII
   * characters) to be sure that there is one person; without it each call has its own.
   */
  async signUp(
    person: SignUpRequest, options: { idempotencyKey?: string } = {},
  ): Promise<SignUpResponse> {
    const headers = { "Idempotency-Key": options.idempotencyKey ?? crypto.randomUUID() };
    const call = { ...this.#repeated, headers };
    const body = { ...person, ...this.#cookieOption };
    const signedUp = await data(this.#api.POST("/api/v1/signup/", { ...call, body }));
    await this.#begin(signedUp.session);
    return signedUp;
  }

  /**
   * Has a code sent to a confirmed address, either of the two. The result is the same for unknown
   * addresses, which get none.
   */
  requestSignInCode(address: SignInCodeRequest): Promise<SignInChallenge> {
    return data(this.#api.POST("/api/v1/sessions/", { ...this.#once, body: address }));
  }

  /** Begins a session by the code that was sent for a challenge. */
  async signIn(challenge: SignInChallenge | string, code: string): Promise<Session> {
    const text = typeof challenge === "string" ? challenge : challenge.challenge;
    const body = { challenge: text, code, ...this.#cookieOption };
    const call = this.#api.POST("/api/v1/sessions/confirm/", { ...this.#once, body });
    const { session } = await data(call);
    await this.#begin(session);
    return session;
  }

  /** Returns the profile. Until it has changed, the service does not send it again. */
  async getProfile(): Promise<Profile> {
    const state = this.#state;
    const cached = state.profile;
    const headers = cached && { "If-None-Match": cached.etag };
    const call = await this.#authorized(this.#repeated, headers);
    const { data: profile, response } = await this.#api.GET("/api/v1/profile/", call);
    if (cached && response.status === 304) return JSON.parse(cached.body) as Profile;
    return rememberProfile(state, profile, response);
  }

  /**
   * Changes what is given, and returns the new profile. A new address replaces the old one once it
   * is confirmed.
   *
   * `ifUnchanged` rejects with `PreconditionFailed` if the profile is no longer the one that this
   * client has read last, and with a `TypeError` if it has read none.
   */
  async updateProfile(
    fields: UpdateProfileRequest, options: { ifUnchanged?: boolean } = {},
  ): Promise<Profile> {
    const state = this.#state;
    const etag = options.ifUnchanged ? state.profile?.etag : undefined;
    if (options.ifUnchanged && !etag) {
      throw new TypeError("ifUnchanged takes a profile that this client has read");
    }
    const call = await this.#authorized(this.#once, etag ? { "If-Match": etag } : {});
    const request = this.#api.PATCH("/api/v1/profile/", { ...call, body: fields });
    const { data: profile, response } = await request;
    return rememberProfile(state, profile, response);
  }

  /** Returns all data that is kept about the person. */
  async exportProfile(): Promise<Export> {
    const call = await this.#authorized(this.#repeated);
    return data(this.#api.GET("/api/v1/profile/export/", call));
  }

  /**
   * Deletes the person and all their data. If the session ends before a repeated deletion is
   * answered, the person is taken to be deleted.
   */
  async deleteProfile(): Promise<void> {
    await this.#api.DELETE("/api/v1/profile/", await this.#authorized(this.#repeated));
    await this.#begin(undefined);
  }

  /** Returns how far the confirmation of each address is. */
  async getConfirmationStatus(): Promise<ConfirmationStatuses> {
    const call = await this.#authorized(this.#repeated);
    return data(this.#api.GET("/api/v1/confirmations/", call));
  }

  /** Confirms the e-mail address by the code that was sent to it. */
  async confirmEmail(code: string): Promise<void> {
    const call = await this.#authorized(this.#once);
    await this.#api.POST("/api/v1/confirmations/email/", { ...call, body: { code } });
  }

  /** Confirms the e-mail address by what follows the `#` of its link. Needs no session. */
  async confirmEmailByLink(token: string): Promise<void> {
    await this.#api.POST("/api/v1/confirmations/email/", { ...this.#once, body: { token } });
  }

  /** Confirms the phone number by the code that was sent to it. */
  async confirmPhone(code: string): Promise<void> {
    const call = await this.#authorized(this.#once);
    await this.#api.POST("/api/v1/confirmations/phone/", { ...call, body: { code } });
  }

  /** Has another code sent to the e-mail address; the one before is superseded. */
  async resendEmailConfirmation(): Promise<ResendResponse> {
    const call = await this.#authorized(this.#once);
    return data(this.#api.POST("/api/v1/confirmations/email/resend/", call));
  }

  /** Has another code sent to the phone number; the one before is superseded. */
  async resendPhoneConfirmation(): Promise<ResendResponse> {
    const call = await this.#authorized(this.#once);
    return data(this.#api.POST("/api/v1/confirmations/phone/resend/", call));
  }

  /** Returns the active sessions, newest first. */
  async listSessions(): Promise<ListedSession[]> {
    const call = await this.#authorized(this.#repeated);
    return (await data(this.#api.GET("/api/v1/sessions/", call))).sessions;
  }

  /** Replaces the token by one with a new lifetime. Callers at the same moment share it. */
  refreshSession(): Promise<Session> {
    const state = this.#state;
    state.refreshing ??= this.#refresh(state).finally(() => (state.refreshing = undefined));
    return state.refreshing;
  }

  /** Ends one session of the person, by its id. */
  async revokeSession(sessionId: string): Promise<void> {
    const call = await this.#authorized(this.#repeated);
    const params = { path: { session_id: sessionId } };
    await this.#api.DELETE("/api/v1/sessions/{session_id}/", { ...call, params });
  }

  /** Signs out. */
  async revokeCurrentSession(): Promise<void> {
    await this.#api.DELETE("/api/v1/sessions/current/", await this.#authorized(this.#repeated));
    await this.#begin(undefined);
  }

  /** Ends all sessions of the person, this one too. */
  async revokeAllSessions(): Promise<void> {
    await this.#api.DELETE("/api/v1/sessions/", await this.#authorized(this.#repeated));
    await this.#begin(undefined);
  }

  async #begin(session: Session | undefined): Promise<void> {
    this.#state = new SessionState(undefined, this.#state.refreshBefore);
    if (session) this.#state.renew(session);
    await this.#onSession?.(session);
  }

  async #refresh(state: SessionState): Promise<Session> {
    const call = { ...this.#repeated, headers: this.#authorization() };
    const { session } = await data(this.#api.POST("/api/v1/sessions/current/refresh/", call));
    if (this.#state === state) { // it has not ended since
      state.renew(session);
      await this.#onSession?.(session);
    }
    return session;
  }

  /** Adds the token to a call; it is refreshed if it is due. */
  async #authorized(call: Call, headers: Record<string, string> = {}): Promise<Call> {
    const state = this.#state;
    if (state.needsRefresh) {
      await this.refreshSession().catch((error: unknown) => {
        if (!(error instanceof RollcallError) || error instanceof InvalidToken) throw error;
        state.postponeRefresh(); // the token is still good
      });
    }
    return { ...call, headers: { ...headers, ...this.#authorization() } };
  }

  #authorization(): Record<string, string> {
    if (this.#sessionCookie) return {};
    if (this.session) return { Authorization: `Bearer ${this.session.token}` };
    const details = { code: "invalid_token", status: 401 };
    throw new InvalidToken("There is no session: sign in first.", details);
  }

  get #cookieOption() {
    return this.#sessionCookie ? { session_cookie: true } : {};
  }

  /** For requests that are safe to repeat. */
  get #repeated(): Call {
    return { fetch: (request) => send(this.#transport, request, true) };
  }

  get #once(): Call {
    return { fetch: (request) => send(this.#transport, request, false) };
  }
}

function rememberProfile(
  state: SessionState, profile: Profile | undefined, response: Response,
): Profile {
  if (!profile) return missingBody(response);
  const etag = response.headers.get("ETag");
  state.profile = etag ? { etag, body: JSON.stringify(profile) } : undefined;
  return profile;
}
