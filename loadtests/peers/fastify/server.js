// A peer for `make bench`: the profile read with Fastify and ioredis, auto-pipelining on.
// The same work as Rollcall's own reader: see domain/model/session_token.py and domain/profile.py.

import { createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Redis } from "ioredis";

const { PORT, REDIS_URL, SECRET_KEY, RETRY_AFTER } = process.env;
// The problem documents, with REQUEST_ID in the place of the id.
const problems = { 401: process.env.PROBLEM_401, 503: process.env.PROBLEM_503 };
const MAC_BYTES = 16;

const hmac = (key, message) => createHmac("sha256", key).update(message).digest();
const keyId = hmac(SECRET_KEY, "rollcall key id").subarray(0, 4);
const key = hmac(SECRET_KEY, "session token");

// Those that Rollcall sends with every response.
const SECURITY_HEADERS = {
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

class InvalidToken extends Error {
  status = 401;
}

class Unavailable extends Error {
  status = 503;
}

// Returns what a token claims, once its MAC was verified: the person, the version, its digest.
function check(authorization = "") {
  const space = authorization.indexOf(" ");
  const token = authorization.slice(space + 1).trim();
  if (authorization.slice(0, space).toLowerCase() !== "bearer" || token.length !== 100) {
    throw new InvalidToken();
  }
  const raw = Buffer.from(token, "base64url");
  if (raw.length !== 75 || raw.toString("base64url") !== token || raw[0] !== 1) {
    throw new InvalidToken();
  }
  // The length before the claims, as domain/model/keyring.py has it.
  const signed = Buffer.allocUnsafe(4 + raw.length - MAC_BYTES);
  signed.writeUInt32BE(raw.length - MAC_BYTES);
  raw.copy(signed, 4, 0, raw.length - MAC_BYTES);
  const mac = hmac(key, signed).subarray(0, MAC_BYTES);
  if (!raw.subarray(1, 5).equals(keyId) || !timingSafeEqual(mac, raw.subarray(-MAC_BYTES))) {
    throw new InvalidToken();
  }
  return {
    person: raw.toString("hex", 5, 21),
    version: raw.readUIntBE(21, 6),
    digest: hash("sha256", token, "buffer"),
  };
}

const processPrefix = randomBytes(11).toString("hex");
let requestNumber = 0;

// Returns the caller's own `X-Request-ID` if it is clean enough for a log, else a new one.
function requestIdOf(request) {
  const given = request.headers["x-request-id"];
  if (given !== undefined && /^[A-Za-z0-9_-]{8,64}$/.test(given)) return given;
  return processPrefix + (requestNumber++).toString(16).padStart(10, "0");
}

function matches(ifNoneMatch, etag) {
  if (ifNoneMatch.trim() === "*") return true;
  return ifNoneMatch.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}

const redis = new Redis(REDIS_URL, { enableAutoPipelining: true });
const app = Fastify();

app.get("/api/v1/profile/", async (request, reply) => {
  const { authorization, "if-none-match": ifNoneMatch } = request.headers;
  const requestId = requestIdOf(request);
  const token = check(authorization);
  const found = await redis.hmget(`p:${token.person}`, "b", "e", "v", token.digest);
  const [body, tag, version, expires] = found;
  if (body === null || tag === null || version === null || Number(version) < token.version) {
    throw new Unavailable();
  }
  if (body === "" || expires === null || Number(expires) <= Date.now() / 1000) {
    throw new InvalidToken();
  }
  const etag = tag;
  reply.headers({
    etag,
    "cache-control": "private, no-cache",
    vary: "Authorization, Cookie",
    "x-request-id": requestId,
    ...SECURITY_HEADERS,
  });
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag)) {
    return reply.code(304).header("content-length", Buffer.byteLength(body)).send();
  }
  return reply.type("application/json").send(body);
});

app.setErrorHandler((error, request, reply) => {
  if (!(error instanceof InvalidToken || error instanceof Unavailable)) throw error;
  const requestId = requestIdOf(request);
  const own =
    error.status === 401 ? { "www-authenticate": "Bearer" } : { "retry-after": RETRY_AFTER };
  return reply
    .code(error.status)
    .type("application/problem+json")
    .headers({
      "cache-control": "no-store",
      vary: "Authorization, Cookie",
      "x-request-id": requestId,
      ...own,
      ...SECURITY_HEADERS,
    })
    .send(Buffer.from(problems[error.status].replace("REQUEST_ID", requestId)));
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
