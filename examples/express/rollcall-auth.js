// Express middleware: `req.person` is the person who sent the request, as Rollcall says; null for a
// request without a token. `personRequired` responds 401 to such a request.
//
// Options: url, and key from `manage.py backends make NAME`. Node's fetch keeps connections open.
import { createHash } from 'node:crypto';

const CACHE_MS = 1000; // for which an ended session is still accepted; 0: each request asks
const CACHE_SIZE = 10_000; // tokens
const TIMEOUT_MS = 1000;

export function rollcallAuth({ url, key }) {
  const cache = new Map();
  const headers = { Authorization: `Bearer ${key}` };

  // Returns `sub` (the id), `exp` and `claims`; null if the token is not active. Throws if Rollcall
  // does not say.
  async function findPerson(token) {
    const digest = createHash('sha256').update(token).digest('base64');
    const known = cache.get(digest);
    if (known && Date.now() < known.until) return known.person;
    const response = await fetch(new URL('/api/v1/introspect/', url), {
      method: 'POST',
      headers,
      body: new URLSearchParams({ token: token || 'none', claims: 'profile' }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const person = await response.json(); // read in any case: it frees the connection
    // A 401 is about our own key, and no fault of the client.
    if (response.status !== 200) throw new Error(`Rollcall responded ${response.status}`);
    if (!person.active) return null;
    if (cache.size >= CACHE_SIZE) cache.clear();
    cache.set(digest, { until: Math.min(Date.now() + CACHE_MS, person.exp * 1000), person });
    return person;
  }

  return async (req, res, next) => {
    req.person = null;
    const [, token] = /^bearer +(.*)$/i.exec(req.get('authorization') ?? '') ?? [];
    if (token !== undefined) {
      try {
        req.person = await findPerson(token);
      } catch {
        return res.status(503).set('Retry-After', '1').json({ code: 'unavailable' });
      }
      if (!req.person) return unauthorized(res);
    }
    next();
  };
}

export function personRequired(req, res, next) {
  if (!req.person) return unauthorized(res);
  next();
}

function unauthorized(res) {
  res.status(401).set('WWW-Authenticate', 'Bearer').json({ code: 'invalid_token' });
}
