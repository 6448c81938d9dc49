import type { Session } from "./schema.js";

/**
 * After a refresh that failed, in seconds: soon, because the token may have been replaced all the
 * same, and the old one can be refreshed again for 30 seconds.
 */
const REFRESH_RETRY = 5;

/**
 * A session, when it is due for a new token, and the profile that was read in it.
 *
 * A token is due `refreshBefore` seconds before its end, or after half of its life if that is
 * later. How old the first one is is unknown: it may be due at once.
 */
export class SessionState {
  profile: { etag: string; body: string } | undefined;
  /** The refresh that is under way: callers at the same moment share it. */
  refreshing: Promise<Session> | undefined;
  #refreshAt = Infinity; // milliseconds since 1970

  constructor(public session: Session | undefined, readonly refreshBefore: number) {
    if (session) this.#refreshAt = Date.parse(session.expires_at) - refreshBefore * 1000;
  }

  /** Takes a new token of the session. */
  renew(session: Session): void {
    const end = Date.parse(session.expires_at);
    // A session that gains no time has reached the end of its longest life.
    const last = this.session !== undefined && end <= Date.parse(this.session.expires_at);
    const before = Math.min(this.refreshBefore * 1000, (end - Date.now()) / 2);
    this.#refreshAt = last ? Infinity : end - before;
    this.session = session;
  }

  /** Puts off the refresh, because the service could not do it now. */
  postponeRefresh(): void {
    this.#refreshAt = Date.now() + REFRESH_RETRY * 1000;
  }

  /** Whether the session is due for a new token. */
  get needsRefresh(): boolean {
    return Date.now() >= this.#refreshAt;
  }
}
