// A client of Rollcall's HTTP API in a browser, from another origin (CORS).

const STORAGE_KEY = "rollcall-token"; // of this tab; a script that is injected could read it
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
  #token = sessionStorage.getItem(STORAGE_KEY);
  #etag = null; // of the profile that was read last

  constructor(url) {
    this.#url = url;
  }

  get isSignedIn() {
    return this.#token !== null;
  }

  // --- People ---

  async signUp(fields) {
    // Made once, so that a repetition after a lost response creates no second person.
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const { body } = await this.#send("POST", "signup/", { body: fields, headers });
    this.#setToken(body.session.token);
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
    this.#setToken(null);
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

  async signIn(challenge, code) {
    const { body } = await this.#send("POST", "sessions/confirm/", { body: { challenge, code } });
    this.#setToken(body.session.token);
  }

  async listSessions() {
    return (await this.#send("GET", "sessions/")).body.sessions;
  }

  async revokeSession(id) {
    await this.#send("DELETE", `sessions/${id}/`);
  }

  async signOut() {
    await this.#send("DELETE", "sessions/current/");
    this.#setToken(null);
  }

  /** Forgets a session that has ended elsewhere. */
  forget() {
    this.#setToken(null);
  }

  // --- Requests ---

  #setToken(token) {
    this.#token = token;
    this.#etag = null;
    if (token === null) sessionStorage.removeItem(STORAGE_KEY);
    else sessionStorage.setItem(STORAGE_KEY, token);
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
        headers: {
          ...(body && { "Content-Type": "application/json" }),
          ...(this.#token && { Authorization: `Bearer ${this.#token}` }),
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
