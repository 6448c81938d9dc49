-- A peer for `make bench`: the profile read in nginx, with Lua and cosockets.
-- The same work as Rollcall's own reader: see domain/model/session_token.py and domain/profile.py.

local base64 = require "ngx.base64"
local ffi = require "ffi"

ffi.cdef [[
  typedef struct evp_md_st EVP_MD;
  const EVP_MD *EVP_sha256(void);
  unsigned char *SHA256(const unsigned char *data, size_t n, unsigned char *digest);
  unsigned char *HMAC(const EVP_MD *type, const void *key, int key_length,
                      const unsigned char *data, size_t n, unsigned char *mac, unsigned *mac_length);
  int CRYPTO_memcmp(const void *a, const void *b, size_t n);
  int RAND_bytes(unsigned char *buffer, int n);
  unsigned char *ngx_hex_dump(unsigned char *to, const unsigned char *from, size_t n);
]]

local crypto = ffi.load("crypto.so.3")
local sha256_type = crypto.EVP_sha256()
local digest, mac_length = ffi.new("unsigned char[32]"), ffi.new("unsigned[1]")
local byte, find, format, lower, match, sub =
  string.byte, string.find, string.format, string.lower, string.match, string.sub

local TOKEN_LENGTH, RAW_LENGTH, MAC_LENGTH = 100, 75, 16
local CLAIMS_LENGTH = RAW_LENGTH - MAC_LENGTH
local DOLLAR = byte("$")
local REDIS_TIMEOUT, IDLE_TIMEOUT, POOL_SIZE = 1000, 60000, 128 -- ms, ms, connections

-- Returns the 32 bytes of HMAC-SHA256, valid until the next call.
local function hmac(key, message)
  crypto.HMAC(sha256_type, key, #key, message, #message, digest, mac_length)
  return digest
end

local function sha256(text)
  crypto.SHA256(text, #text, digest)
  return ffi.string(digest, 32)
end

local hex = ffi.new("unsigned char[64]")
local function to_hex(bytes, n)
  ffi.C.ngx_hex_dump(hex, bytes, n)
  return ffi.string(hex, 2 * n)
end

local secret = os.getenv("SECRET_KEY")
local key_id = ffi.string(hmac(secret, "rollcall key id"), 4)
local key = ffi.string(hmac(secret, "session token"), 32)
local redis_host, redis_port = match(os.getenv("REDIS_URL"), "^redis://([^:/@]+):(%d+)/0$")
-- The problem documents, with REQUEST_ID in the place of the id.
local problems = { [401] = os.getenv("PROBLEM_401"), [503] = os.getenv("PROBLEM_503") }
local retry_after = os.getenv("RETRY_AFTER")
local process_prefix, request_number -- of each worker

-- Returns the caller's own X-Request-ID if it is clean enough for a log, else a new one.
local function request_id()
  local given = ngx.var.http_x_request_id
  if given and #given >= 8 and #given <= 64 and find(given, "^[%w_-]+$") then return given end
  if not process_prefix then
    crypto.RAND_bytes(digest, 11)
    process_prefix, request_number = to_hex(digest, 11), 0
  end
  request_number = request_number + 1
  return process_prefix .. format("%010x", request_number)
end

-- Returns person (hex), version and digest that a token claims, once its MAC was verified; or nil.
local function check(authorization)
  if not authorization or #authorization ~= 7 + TOKEN_LENGTH
    or lower(sub(authorization, 1, 7)) ~= "bearer " then return nil end
  local token = sub(authorization, 8)
  local raw = base64.decode_base64url(token)
  if not raw or #raw ~= RAW_LENGTH or byte(raw) ~= 1 or sub(raw, 2, 5) ~= key_id then
    return nil
  end
  -- The length before the claims, as domain/model/keyring.py has it.
  local mac = hmac(key, "\0\0\0\59" .. sub(raw, 1, CLAIMS_LENGTH))
  if crypto.CRYPTO_memcmp(mac, sub(raw, CLAIMS_LENGTH + 1), MAC_LENGTH) ~= 0 then return nil end
  local version = 0
  for i = 22, 27 do version = version * 256 + byte(raw, i) end
  return to_hex(sub(raw, 6, 21), 16), version, sha256(token)
end

-- Returns the four values of the reply to HMGET, missing ones as nil; false if there was none.
local function fields(redis)
  if redis:receive() ~= "*4" then return false end
  local values = {}
  for i = 1, 4 do
    local head = redis:receive()
    local length = head and byte(head) == DOLLAR and tonumber(sub(head, 2))
    if not length then return false end
    if length >= 0 then
      local value = redis:receive(length + 2)
      if not value then return false end
      values[i] = sub(value, 1, -3)
    end
  end
  return true, values[1], values[2], values[3], values[4]
end

local function hmget(person, token_digest)
  local redis = ngx.socket.tcp()
  redis:settimeout(REDIS_TIMEOUT)
  if not redis:connect(redis_host, redis_port, { pool_size = POOL_SIZE }) then return false end
  redis:send({ "*6\r\n$5\r\nHMGET\r\n$34\r\np:", person,
    "\r\n$1\r\nb\r\n$1\r\ne\r\n$1\r\nv\r\n$32\r\n", token_digest, "\r\n" })
  local ok, body, etag, version, expires = fields(redis)
  if ok then redis:setkeepalive(IDLE_TIMEOUT) else redis:close() end
  return ok, body, etag, tonumber(version), tonumber(expires)
end

local function refuse(status)
  local id, header = request_id(), ngx.header
  local body = problems[status]:gsub("REQUEST_ID", id)
  ngx.status = status
  header["cache-control"] = "no-store"
  if status == 401 then header["www-authenticate"] = "Bearer" end
  if status == 503 then header["retry-after"] = retry_after end
  header["x-request-id"] = id
  header["content-type"] = "application/problem+json"
  header["content-length"] = #body
  ngx.print(body)
end

-- RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`.
local function matches(if_none_match, etag)
  if find(if_none_match, "^%s*%*%s*$") then return true end
  for tag in if_none_match:gmatch("[^,]+") do
    if match(tag, "^%s*(.-)%s*$"):gsub("^W/", "") == etag then return true end
  end
  return false
end

local function read()
  local person, version, token_digest = check(ngx.var.http_authorization)
  if not person then return refuse(401) end
  local ok, body, etag, stored_version, expires = hmget(person, token_digest)
  if not (ok and body and etag and stored_version) or stored_version < version then
    return refuse(503)
  end
  if body == "" or not expires or expires <= ngx.time() then return refuse(401) end
  local header, if_none_match = ngx.header, ngx.var.http_if_none_match
  header["etag"] = etag
  header["x-request-id"] = request_id()
  if if_none_match and matches(if_none_match, etag) then
    ngx.status = 304
    return
  end
  header["content-length"] = #body
  ngx.print(body)
end

return { read = read }
