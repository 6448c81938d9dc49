"""Token introspection (RFC 7662) for the operator's own backends: who is this, by a token.

One token in a form costs what a read costs: the same lookup in the client-side cache or Redis. Up
to a thousand in JSON are looked up together: see `api.reads.batch_introspection`.
"""

from functools import partial
from time import perf_counter, time
from typing import override

import structlog

from api.http_server.request import Request
from api.observability.loop_metrics import loop_metrics
from api.reads.backend_keys import BackendKeys
from api.reads.batch_introspection import BatchIntrospector
from api.reads.cache_miss import MissCoalescer
from api.reads.introspection_body import (
    FORM,
    JSON,
    InvalidBody,
    MalformedJSON,
    parse_form,
    parse_json,
)
from api.reads.profile import ProfileReader
from api.reads.redis.cluster import AnyRedis
from api.reads.request_policy import find_policy
from api.reads.responses import (
    Headers,
    Response,
    error_response,
    get_request_id,
    problem_response,
    redirect_to_https,
    validation_response,
)
from api.reads.token_state import INACTIVE, render_token
from domain.metrics.registry import HTTP_REQUEST_DURATION
from domain.model.errors import InvalidToken, RollcallError
from domain.model.keyring import Keyring
from domain.model.session_token import TokenClaims
from settings import environment

log = structlog.get_logger(__name__)

INTROSPECTION_PATHS = frozenset({b"/api/v1/introspect/", b"/api/v1/introspect"})
_ROUTE = "/api/v1/introspect"
_HEADERS_200 = b"content-type: application/json\r\ncache-control: no-store\r\nx-request-id: %b\r\n"


class Introspector(ProfileReader):
    """Introspects single tokens; `with_claims`: with the profile."""

    def __init__(
        self, redis: AnyRedis, keys: Keyring, misses: MissCoalescer, *, with_claims: bool
    ) -> None:
        super().__init__(redis, keys, misses)
        self.route = _ROUTE
        self._claims_included = with_claims

    @override
    def _render(
        self, fields: Headers, token: TokenClaims, decoded: tuple[bytes, bytes, int]
    ) -> Response:
        body, _, expiry = decoded
        state = render_token(token, body, expiry, with_claims=self._claims_included)
        return 200, _HEADERS_200 % get_request_id(fields).encode(), state

    @override
    def _to_response(self, headers: Headers, error: Exception) -> Response:
        if isinstance(error, InvalidToken):
            return 200, _HEADERS_200 % get_request_id(headers).encode(), INACTIVE
        return super()._to_response(headers, error)


class Introspection:
    """Responds to introspection requests: checks who asks, and what for."""

    def __init__(
        self, redis: AnyRedis, keys: Keyring, misses: MissCoalescer, backend_keys: BackendKeys
    ) -> None:
        self._backend_keys = backend_keys
        self._plain = Introspector(redis, keys, misses, with_claims=False)
        self._with_claims = Introspector(redis, keys, misses, with_claims=True)
        self._batches = BatchIntrospector(redis, keys, misses)

    def handle(self, request: Request) -> None:
        """Responds now or later; reads the body only of a backend. Raises nothing."""
        headers = request.headers
        policy = find_policy(headers, for_browsers=False)
        if not policy.is_allowed:
            self._respond(request, problem_response(headers, "bad_request"))
        elif policy.redirects:
            self._respond(request, redirect_to_https(headers, request.target))
        elif request.method != "POST":
            problem = problem_response(headers, "method_not_allowed", ("allow", "POST"))
            self._respond(request, problem)
        else:
            try:
                self._backend_keys.check(headers.get("authorization", ""), time())
            except RollcallError as error:
                self._respond(request, error_response(headers, error))
                return
            if request.body and headers.get("content-type") == FORM and _is_identity(headers):
                self._introspect_one(policy.headers, request)  # nearly all: in one segment
            else:
                self._read_body(request, policy.headers)

    def _read_body(self, request: Request, common_headers: bytes) -> None:
        headers = request.headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not _is_identity(headers):
            problem = "unsupported_media_type", ("accept-encoding", "identity")
            self._respond(request, problem_response(headers, *problem))
        elif media_type not in (FORM, JSON):
            problem = "unsupported_media_type", ("accept", f"{FORM}, {JSON}")
            self._respond(request, problem_response(headers, *problem))
        else:
            on_body = self._introspect_many
            if media_type == FORM:
                on_body = partial(self._introspect_one, common_headers)
            if request.content_length == 0:
                on_body(request)
            else:
                request.read_body(environment.INTROSPECTION_BODY_MAX_BYTES, on_body)

    def _introspect_one(self, common_headers: bytes, request: Request) -> None:
        try:
            token, with_claims = parse_form(bytes(request.body))
        except InvalidBody as error:
            self._respond(request, validation_response(request.headers, error.errors))
        else:
            introspector = self._with_claims if with_claims else self._plain
            introspector.handle(request, common_headers, token)

    def _introspect_many(self, request: Request) -> None:
        try:
            tokens = parse_json(bytes(request.body))
        except MalformedJSON:
            self._respond(request, problem_response(request.headers, "malformed_json"))
        except InvalidBody as error:
            self._respond(request, validation_response(request.headers, error.errors))
        else:
            self._batches.start(tokens, lambda body: self._on_results(request, body))

    def _on_results(self, request: Request, results: bytes | RollcallError) -> None:
        """Responds with the results of many tokens."""
        if isinstance(results, RollcallError):
            response = error_response(request.headers, results)
        else:
            request_id = get_request_id(request.headers).encode()
            response = 200, _HEADERS_200 % request_id, results
        self._respond(request, response, "batch")

    def _respond(self, request: Request, response: Response, source: str = "none") -> None:
        status, headers, body = response
        policy = find_policy(request.headers, for_browsers=False)
        request.respond(status, headers + policy.headers, body)
        seconds = perf_counter() - request.received_at
        method = request.method
        loop_metrics.observe(HTTP_REQUEST_DURATION, seconds, method, _ROUTE, status, source)


def _is_identity(headers: Headers) -> bool:
    """Returns whether the body has no content coding."""
    return "content-encoding" not in headers
