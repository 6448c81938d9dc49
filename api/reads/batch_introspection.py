"""Introspects up to a thousand tokens at once.

Their commands are sent pipelined, a chunk in each turn of the event loop, and rendered so: reads
beside it wait for one chunk at most. Batches take turns, so that they never fill the connection to
Redis (`READ_REDIS_MAX_PENDING`), and only a few may wait.
"""

import asyncio
from asyncio import Task
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import batched
from time import time
from typing import Any

import hiredis
import structlog

from api.reads.cache_miss import MissCoalescer
from api.reads.client_cache import CacheEntry
from api.reads.introspection_body import TokenList
from api.reads.profile import encode_hmget, parse_reply
from api.reads.redis.cluster import AnyRedis
from api.reads.redis.connection import RedisUnavailable, is_redirect
from api.reads.token_state import INACTIVE, UNAVAILABLE, render_token
from domain import profile
from domain.model.errors import InvalidToken, RollcallError, ServiceUnavailable
from domain.model.keyring import Keyring
from domain.model.session_token import TokenClaims, verify_encoded_token
from domain.profile import CacheMiss

log = structlog.get_logger(__name__)

_CHUNK = 32  # tokens; a third of a millisecond
_MAX_WAITING = 32  # batches; further ones are a 503
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024  # profiles of ordinary size take a tenth of it

type OnResults = Callable[[bytes | RollcallError], None]


class BatchIntrospector:
    """Introspects batches through `redis`; for missing profiles `misses` wait."""

    def __init__(self, redis: AnyRedis, keys: Keyring, misses: MissCoalescer) -> None:
        self._redis = redis
        self._keys = keys
        self._misses = misses
        self._turn = asyncio.Lock()
        self._tasks: set[Task[None]] = set()

    def start(self, tokens: TokenList, on_results: OnResults) -> None:
        """Calls `on_results` once, now or later, with the response's body, or an error of ours.
        Raises nothing.
        """
        if len(self._tasks) >= _MAX_WAITING:
            on_results(ServiceUnavailable())
            return
        task = asyncio.create_task(self._run(tokens, on_results))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, tokens: TokenList, on_results: OnResults) -> None:
        results: bytes | RollcallError
        try:
            batch = _Batch(self._redis, self._keys, tokens)
            async with self._turn:
                await batch.look_up()
            await batch.retry(self._misses)
            results = batch.response()
        except RollcallError as error:
            results = error
        except Exception:  # a bug: the client gets a response all the same
            log.exception("batch_introspection_failed")
            results = RollcallError()
        on_results(results)


class _Batch:
    """The tokens of one request. `_results` are their JSON objects, as far as they are known."""

    def __init__(self, redis: AnyRedis, keys: Keyring, tokens: TokenList) -> None:
        self._redis = redis
        self._keys = keys
        self._tokens, self._with_claims = tokens
        self._results = [UNAVAILABLE] * len(self._tokens)
        self._replies: dict[int, tuple[TokenClaims, Any]] = {}
        self._misses: dict[int, TokenClaims] = {}
        self._redirected: dict[int, TokenClaims] = {}
        self._size = self._pending = 0
        self._replied = asyncio.Event()

    async def look_up(self) -> None:
        """Looks all tokens up, in the client-side cache or Redis."""
        for numbers in batched(range(len(self._tokens)), _CHUNK):
            for number in numbers:
                self._send(number)
            await asyncio.sleep(0)
        while self._pending:
            self._replied.clear()
            await self._replied.wait()
        await self._render_all()

    async def retry(self, misses: MissCoalescer) -> None:
        """Looks those up again whose profile was missing, once it is there or too late, or which
        another primary of a Redis Cluster has.
        """
        if self._misses:
            await asyncio.wait([misses.expect(token) for token in self._misses.values()])
        retried = list((self._misses | self._redirected).items())
        for chunk in batched(retried, _CHUNK):
            replies = await asyncio.gather(
                *(
                    self._redis.execute_for_person(token.person_id_bytes, encode_hmget(token))
                    for _, token in chunk
                ),
                return_exceptions=True,
            )
            for (number, token), reply in zip(chunk, replies, strict=True):
                self._render(number, token, reply)

    def response(self) -> bytes:
        """Returns the response's body. Raises `ServiceUnavailable` if no token is known."""
        if all(result is UNAVAILABLE for result in self._results):
            raise ServiceUnavailable
        return b'{"results":[%b]}' % b",".join(self._results)

    def _send(self, number: int) -> None:
        text = self._tokens[number]
        encoded = text.encode(errors="replace")
        digest = sha256(encoded).digest()
        cache = self._redis.cache
        if cache is not None and (entry := cache.find(digest)):
            self._replies[number] = entry.token, entry
            return
        try:
            token = verify_encoded_token(self._keys, encoded, digest)
            server = self._redis.for_person(token.person_id_bytes)
            server.send_command(encode_hmget(token), partial(self._on_reply, number, token))
        except InvalidToken:
            self._results[number] = INACTIVE
        except RedisUnavailable:
            pass  # it stays unavailable
        else:
            self._pending += 1

    def _on_reply(self, number: int, token: TokenClaims, reply: Any) -> None:
        self._replies[number] = token, reply
        self._pending -= 1
        if not self._pending:
            self._replied.set()

    async def _render_all(self) -> None:
        for replies in batched(self._replies.items(), _CHUNK):
            for number, (token, reply) in replies:
                self._render(number, token, reply)
            await asyncio.sleep(0)

    def _render(self, number: int, token: TokenClaims, reply: Any) -> None:
        """Puts the token's JSON object into the results, or notes that it is to be retried."""
        try:
            if isinstance(reply, CacheEntry):
                body, _, expiry = reply.decode(time())
            else:
                body, _, expiry = profile.decode_reply(token, parse_reply(reply), time())
            result = render_token(token, body, expiry, with_claims=self._with_claims)
        except InvalidToken:
            result = INACTIVE
        except CacheMiss:
            self._misses[number] = token
            return
        except hiredis.ReplyError as error:
            self._redis.on_command_error(error)
            if is_redirect(error):
                self._redirected[number] = token
            return
        except RedisUnavailable:
            return
        except ValueError:  # a malformed hash: the other tokens get their results
            log.error("token_state_malformed")
            return
        self._size += len(result)
        if self._size <= _MAX_RESPONSE_BYTES:
            self._results[number] = result
