// A client of Rollcall's HTTP API in a browser, from another origin (CORS).

// The session: {token, expires_at} of this tab, which a script that is injected could read; or only
// {expires_at} for all tabs, while the browser keeps the token in a cookie that no script can read.
const STORAGE_KEY = "rollcall-session";
const REFRESH_BEFORE = 15 * 86_400_000; // milliseconds before the end of a session
const MAX_ATTEMPTS = 4;

/** An error of the API, a problem document (RFC 9457): status, code, detail, errors. */
export class Problem extends Error {
  constructor(document) {
    super(document.detail);
    Object.assign(this, document);
  }
}

export class Client {
  #url;
  #session = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY));
  #etag = null; // of the profile that was read last

  constructor(url) {
    this.#url = url;
  }

  get isSignedIn() {
    return this.#session !== null;
  }

  // --- People ---

  /** `inCookie`: the browser keeps the token, for which page and service must be of one site. */
  async signUp(fields, inCookie = false) {
    // Made once, so that a repetition after a lost response creates no second person.
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const request = { body: { ...fields, session_cookie: inCookie }, headers };
    const { body } = await this.#send("POST", "signup/", request);
    this.#setSession(body.session);
    return body.profile;
  }

  async getProfile() {
    return this.#keepEtag(await this.#send("GET", "profile/"));
  }

  /** Changes a profile; rejects with `precondition_failed` if another client has changed it since. */
  async updateProfile(fields) {
    const headers = this.#etag ? { "If-Match": this.#etag } : {};
    return this.#keepEtag(await this.#send("PATCH", "profile/", { body: fields, headers }));
  }

  async deleteAccount() {
    await this.#send("DELETE", "profile/");
    this.#setSession(null);
  }

  async exportData() {
    return (await this.#send("GET", "profile/export/")).body;
  }

  // --- Confirmations: `channel` is email or phone ---

  async confirm(channel, code) {
    return (await this.#send("POST", `confirmations/${channel}/`, { body: { code } })).body;
  }

  async resend(channel) {
    return (await this.#send("POST", `confirmations/${channel}/resend/`)).body;
  }

  async getConfirmations() {
    return (await this.#send("GET", "confirmations/")).body;
  }

  // --- Sessions ---

  async requestSignInCode(email) {
    return (await this.#send("POST", "sessions/", { body: { email } })).body.challenge;
  }

  async signIn(challenge, code, inCookie = false) {
    const request = { body: { challenge, code, session_cookie: inCookie } };
    this.#setSession((await this.#send("POST", "sessions/confirm/", request)).body.session);
  }

  /** Gives the session a new token and lifetime; returns its end. */
  async refresh() {
    const { session } = (await this.#send("POST", "sessions/current/refresh/")).body;
    this.#setSession(session);
    return session.expires_at;
  }

  async refreshIfDue() {
    if (Date.parse(this.#session.expires_at) - Date.now() < REFRESH_BEFORE) await this.refresh();
  }

  async listSessions() {
    return (await this.#send("GET", "sessions/")).body.sessions;
  }

  async revokeSession(id) {
    await this.#send("DELETE", `sessions/${id}/`);
  }

  async signOut() {
    await this.#send("DELETE", "sessions/current/");
    this.#setSession(null);
  }

  /** Forgets a session that has ended elsewhere. */
  forget() {
    this.#setSession(null);
  }

  // --- Requests ---

  #setSession(session) {
    this.#session = session;
    this.#etag = null;
    sessionStorage.removeItem(STORAGE_KEY);
    localStorage.removeItem(STORAGE_KEY);
    const storage = session?.token ? sessionStorage : localStorage;
    if (session) storage.setItem(STORAGE_KEY, JSON.stringify(session));
  }

  #keepEtag({ body, headers }) {
    this.#etag = headers.get("ETag");
    return body;
  }

  /** Sends a request, again after a 503 when its `Retry-After` says. */
  async #send(method, path, { body, headers = {} } = {}) {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(`${this.#url}/api/v1/${path}`, {
        method,
        credentials: "include", // the cookie, if there is one
        headers: {
          ...(body && { "Content-Type": "application/json" }),
          ...(this.#session?.token && { Authorization: `Bearer ${this.#session.token}` }),
          ...headers,
        },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(15_000),
      });
      const text = await response.text();
      if (response.ok) return { body: text && JSON.parse(text), headers: response.headers };
      if (response.status !== 503 || attempt === MAX_ATTEMPTS) throw new Problem(JSON.parse(text));
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}
