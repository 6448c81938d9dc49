// A peer for `make bench`: the profile read with Fastify and ioredis, auto-pipelining on.
// The same work as Rollcall's own reader: see domain/session.py and domain/profile.py.

import { createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Redis } from "ioredis";

const { PORT, REDIS_URL, SECRET_KEY } = process.env;
const MAC_BYTES = 16;

const hmac = (key, message) => createHmac("sha256", key).update(message).digest();
const keyId = hmac(SECRET_KEY, "rollcall key id").subarray(0, 4);
const key = hmac(SECRET_KEY, "session token");

// What Rollcall sends with every answer, here too.
const MANNERS = {
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

class InvalidToken extends Error {}

// What a token says, once its MAC was found right: the person, the version, the token's digest.
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
  // The length before the claims, as domain/keys.py has it.
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

// The caller's own `X-Request-ID` if it is clean enough for a log, else a new one.
function requestIdOf(request) {
  const given = request.headers["x-request-id"];
  if (given !== undefined && /^[A-Za-z0-9_-]{8,64}$/.test(given)) return given;
  return randomBytes(16).toString("hex");
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
    return reply.code(503).send();
  }
  if (body === "" || expires === null || Number(expires) <= Date.now() / 1000) {
    throw new InvalidToken();
  }
  const etag = tag;
  reply.headers({
    etag,
    "cache-control": "private, no-cache",
    vary: "Authorization",
    "x-request-id": requestId,
    ...MANNERS,
  });
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag)) {
    return reply.code(304).header("content-length", Buffer.byteLength(body)).send();
  }
  return reply.type("application/json").send(body);
});

app.setErrorHandler((error, request, reply) => {
  if (!(error instanceof InvalidToken)) throw error;
  const requestId = requestIdOf(request);
  return reply
    .code(401)
    .type("application/problem+json")
    .headers({
      "cache-control": "no-store",
      vary: "Authorization",
      "www-authenticate": "Bearer",
      "x-request-id": requestId,
      ...MANNERS,
    })
    .send(
      Buffer.from(
        JSON.stringify({
          type: "about:blank",
          title: "Unauthorized",
          status: 401,
          detail: "Send a valid session token as: Authorization: Bearer <token>.",
          code: "invalid_token",
          request_id: requestId,
        }),
      ),
    );
});

await app.listen({ host: "127.0.0.1", port: Number(PORT) });
