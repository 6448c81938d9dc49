// A peer for `make bench`: the profile read with fasthttp and redigo, on one processor.
// The same work as Rollcall's own reader: see domain/model/session_token.py and domain/profile.py.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/valyala/fasthttp"
)

const (
	tokenLength  = 100
	rawLength    = 75
	macLength    = 16
	claimsLength = rawLength - macLength
	redisTimeout = time.Second
)

var (
	keyID []byte
	// Keyed HMACs, so that no request derives the pads again.
	hmacs sync.Pool
	pool  *redis.Pool

	// The problem documents, with REQUEST_ID in the place of the id.
	problems   = map[int]string{401: os.Getenv("PROBLEM_401"), 503: os.Getenv("PROBLEM_503")}
	retryAfter = os.Getenv("RETRY_AFTER")
	security   = [][2]string{
		{"X-Frame-Options", "DENY"},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	}
	validID       = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)
	processPrefix = randomHex(11)
	requestNumber uint64
)

type claims struct {
	key     string
	version int64
	digest  [32]byte
}

func main() {
	runtime.GOMAXPROCS(1)
	secret := []byte(os.Getenv("SECRET_KEY"))
	keyID = mac(hmac.New(sha256.New, secret), []byte("rollcall key id"))[:4]
	key := mac(hmac.New(sha256.New, secret), []byte("session token"))
	hmacs.New = func() any { return hmac.New(sha256.New, key) }
	pool = &redis.Pool{MaxIdle: 128, Dial: func() (redis.Conn, error) {
		return redis.DialURL(os.Getenv("REDIS_URL"),
			redis.DialConnectTimeout(redisTimeout),
			redis.DialReadTimeout(redisTimeout),
			redis.DialWriteTimeout(redisTimeout))
	}}
	server := &fasthttp.Server{Handler: handle, NoDefaultServerHeader: true}
	panic(server.ListenAndServe("127.0.0.1:" + os.Getenv("PORT")))
}

func handle(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) != "/api/v1/profile/" {
		ctx.Error("Not found", fasthttp.StatusNotFound)
		return
	}
	token, ok := check(ctx.Request.Header.Peek("Authorization"))
	if !ok {
		refuse(ctx, fasthttp.StatusUnauthorized)
		return
	}
	body, etag, status := read(&token)
	if status != fasthttp.StatusOK {
		refuse(ctx, status)
		return
	}
	header := &ctx.Response.Header
	header.Set("Cache-Control", "private, no-cache")
	header.SetBytesV("Etag", etag)
	common(ctx, requestID(ctx))
	if tags := ctx.Request.Header.Peek("If-None-Match"); len(tags) > 0 && matches(tags, etag) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

// Returns what a token claims, once its MAC was verified.
func check(authorization []byte) (claims, bool) {
	scheme, token, _ := bytes.Cut(authorization, []byte(" "))
	token = bytes.Trim(token, " ")
	if len(token) != tokenLength || !bytes.EqualFold(scheme, []byte("Bearer")) {
		return claims{}, false
	}
	var raw [rawLength]byte
	n, err := base64.RawURLEncoding.Decode(raw[:], token)
	if err != nil || n != rawLength || raw[0] != 1 || !bytes.Equal(raw[1:5], keyID) {
		return claims{}, false
	}
	// The length before the claims, as domain/model/keyring.py has it.
	var signed [4 + claimsLength]byte
	binary.BigEndian.PutUint32(signed[:], claimsLength)
	copy(signed[4:], raw[:claimsLength])
	h := hmacs.Get().(hash.Hash)
	h.Reset()
	valid := hmac.Equal(mac(h, signed[:])[:macLength], raw[claimsLength:])
	hmacs.Put(h)
	if !valid {
		return claims{}, false
	}
	version := int64(0)
	for _, b := range raw[21:27] {
		version = version<<8 | int64(b)
	}
	return claims{"p:" + hex.EncodeToString(raw[5:21]), version, sha256.Sum256(token)}, true
}

// Returns body and ETag with 200; or 401 or 503.
func read(token *claims) (body, etag []byte, status int) {
	conn := pool.Get()
	reply, err := redis.ByteSlices(conn.Do("HMGET", token.key, "b", "e", "v", token.digest[:]))
	conn.Close()
	if err != nil || len(reply) != 4 || reply[0] == nil || reply[1] == nil || reply[2] == nil {
		return nil, nil, fasthttp.StatusServiceUnavailable
	}
	version, err := strconv.ParseInt(string(reply[2]), 10, 64)
	if err != nil || version < token.version {
		return nil, nil, fasthttp.StatusServiceUnavailable
	}
	expires, err := strconv.ParseInt(string(reply[3]), 10, 64)
	if len(reply[0]) == 0 || err != nil || expires <= time.Now().Unix() {
		return nil, nil, fasthttp.StatusUnauthorized
	}
	return reply[0], reply[1], fasthttp.StatusOK
}

func refuse(ctx *fasthttp.RequestCtx, status int) {
	id := requestID(ctx)
	header := &ctx.Response.Header
	header.Set("Cache-Control", "no-store")
	if status == fasthttp.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	} else {
		header.Set("Retry-After", retryAfter)
	}
	common(ctx, id)
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/problem+json")
	ctx.SetBodyString(strings.Replace(problems[status], "REQUEST_ID", id, 1))
}

// Sets the headers of every response.
func common(ctx *fasthttp.RequestCtx, id string) {
	header := &ctx.Response.Header
	header.Set("Vary", "Authorization, Cookie")
	header.Set("X-Request-Id", id)
	for _, line := range security {
		header.Set(line[0], line[1])
	}
}

// Returns the caller's own X-Request-ID if it is clean enough for a log, else a new one.
func requestID(ctx *fasthttp.RequestCtx) string {
	if given := ctx.Request.Header.Peek("X-Request-ID"); len(given) > 0 && validID.Match(given) {
		return string(given)
	}
	return fmt.Sprintf("%s%010x", processPrefix, atomic.AddUint64(&requestNumber, 1))
}

// RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`.
func matches(ifNoneMatch, etag []byte) bool {
	if string(bytes.TrimSpace(ifNoneMatch)) == "*" {
		return true
	}
	for _, tag := range bytes.Split(ifNoneMatch, []byte(",")) {
		if bytes.Equal(bytes.TrimPrefix(bytes.TrimSpace(tag), []byte("W/")), etag) {
			return true
		}
	}
	return false
}

func mac(h hash.Hash, message []byte) []byte {
	h.Write(message)
	return h.Sum(nil)
}

func randomHex(n int) string {
	random := make([]byte, n)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return hex.EncodeToString(random)
}
