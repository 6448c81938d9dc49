"""Coalesces cache misses: one backfill request per person, awaited for a limited time."""

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

import hiredis

from api.observability.loop_metrics import loop_metrics
from api.reads.redis.cluster import AnyRedis
from api.reads.redis.connection import RedisUnavailable, encode_command, is_redirect
from domain import profile
from domain.metrics import registry
from domain.model.session_token import TokenClaims

_POLL_INTERVAL = 0.005  # seconds
_POLL_BATCH_SIZE = 64  # people of one poll; more of them take turns


class _PendingMiss:
    """A person's missing profile: the version that is needed, and the future of its arrival."""

    def __init__(self, loop: AbstractEventLoop, person_id: UUID) -> None:
        self.person_id = person_id
        self.version = 0
        self.is_requested = self.is_followed = False
        self.done: Future[None] = loop.create_future()
        # A hash without its ETag is not activated yet.
        self.poll_command = encode_command(
            ("HMGET", profile.redis_key(person_id), profile.VERSION, profile.ETAG)
        )


class MissCoalescer:
    """The cache misses of this process. A profile is waited for `timeout` seconds at most.

    One task polls for all of them: its commands are one write, and the replies one read.
    """

    def __init__(self, redis: AnyRedis, timeout: float) -> None:
        self._redis = redis
        self._timeout = timeout
        self._misses: dict[UUID, _PendingMiss] = {}
        self._poll_task: Task[None] | None = None
        self._follow_tasks: set[Task[None]] = set()
        self._read_tasks: set[Task[None]] = set()

    def read_again(
        self,
        token: TokenClaims,
        command: bytes,
        on_reply: Callable[[Any], None],
        *,
        is_miss: bool,
    ) -> None:
        """Calls `on_reply` with the reply to the HMGET for a token, or with the error in its place;
        if `is_miss`, when the profile is as new as the token needs it, or after the timeout.
        Redirects of Redis Cluster are followed.
        """
        task = asyncio.create_task(self._read_again(token, command, on_reply, is_miss=is_miss))
        self._read_tasks.add(task)
        task.add_done_callback(self._read_tasks.discard)

    async def _read_again(
        self, token: TokenClaims, command: bytes, on_reply: Callable[[Any], None], *, is_miss: bool
    ) -> None:
        reply: Any
        try:
            if is_miss:
                # Shielded: a client that disconnects must not cancel it for the others.
                await asyncio.shield(self.expect(token))
            reply = await self._redis.execute_for_person(token.person_id_bytes, command)
        except Exception as error:  # noqa: BLE001  # who asked for it gives each a response
            reply = error
        on_reply(reply)

    def expect(self, token: TokenClaims) -> Future[None]:
        """Returns a future that is done when the profile is as new as the token needs it, or after
        the timeout; not to be cancelled.

        Any number of requests for a person send one backfill request. Errors only end the wait:
        the read that follows meets them too.
        """
        loop_metrics.inc(registry.PROFILE_CACHE_MISSES)
        miss = self._misses.get(token.person_id) or self._request_backfill(token.person_id)
        miss.version = max(token.version, miss.version)
        return miss.done

    def _request_backfill(self, person_id: UUID) -> _PendingMiss:
        loop_metrics.inc(registry.PROFILE_BACKFILL_REQUESTS)
        loop = asyncio.get_running_loop()
        miss = self._misses[person_id] = _PendingMiss(loop, person_id)
        timer = loop.call_later(self._timeout, self._resolve, miss)
        miss.done.add_done_callback(lambda _: timer.cancel())
        self._send_request(miss)
        if self._poll_task is None or self._poll_task.done():
            self._poll_task = loop.create_task(self._poll())
        return miss

    def _send_request(self, miss: _PendingMiss) -> None:
        miss.is_requested = True
        queue = self._redis.for_person(miss.person_id.bytes).backfill_queue
        command = encode_command(("ZINCRBY", queue, 1, miss.person_id.hex))
        self._send(miss, command, self._on_request_reply)

    async def _poll(self) -> None:
        while self._misses:
            await asyncio.sleep(_POLL_INTERVAL)
            for person_id in list(islice(self._misses, _POLL_BATCH_SIZE)):
                miss = self._misses[person_id] = self._misses.pop(person_id)  # now it is the last
                if not miss.is_requested:
                    self._send_request(miss)
                self._send(miss, miss.poll_command, self._on_poll_reply)

    def _send(
        self, miss: _PendingMiss, command: bytes, on_reply: Callable[[_PendingMiss, Any], None]
    ) -> None:
        try:
            server = self._redis.for_person(miss.person_id.bytes)
            server.send_command(command, partial(on_reply, miss))
        except RedisUnavailable:
            self._resolve(miss)

    def _on_request_reply(self, miss: _PendingMiss, reply: Any) -> None:
        if is_redirect(reply):  # the primary has lost the slot of its queue, and has another
            self._redis.on_command_error(reply)
            miss.is_requested = False
        else:
            self._on_error(miss, reply)

    def _on_poll_reply(self, miss: _PendingMiss, reply: Any) -> None:
        if is_redirect(reply):
            self._follow(miss)
            return
        self._on_error(miss, reply)
        match reply:
            case [bytes(version), bytes()] if version.isdigit() and int(version) >= miss.version:
                self._resolve(miss)

    def _follow(self, miss: _PendingMiss) -> None:
        """Polls once where Redis Cluster redirects to."""
        if not miss.is_followed:
            miss.is_followed = True
            task = asyncio.create_task(self._poll_elsewhere(miss))
            self._follow_tasks.add(task)
            task.add_done_callback(self._follow_tasks.discard)

    async def _poll_elsewhere(self, miss: _PendingMiss) -> None:
        reply: Any
        try:
            reply = await self._redis.execute_for_person(miss.person_id.bytes, miss.poll_command)
        except (RedisUnavailable, hiredis.ReplyError) as error:
            reply = error
        miss.is_followed = False
        self._on_poll_reply(miss, reply)

    def _on_error(self, miss: _PendingMiss, reply: Any) -> None:
        if isinstance(reply, Exception):
            self._resolve(miss)

    def _resolve(self, miss: _PendingMiss) -> None:
        if not miss.done.done():
            del self._misses[miss.person_id]
            miss.done.set_result(None)
