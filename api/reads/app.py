"""The read of a profile as an RSGI application: GET and HEAD, from Redis and nothing else."""

import time
from asyncio import AbstractEventLoop
from dataclasses import dataclass
from typing import Any, cast

import hiredis
import structlog

from api.bearer import bearer_token
from api.interface import Headers, joined
from api.problem_documents import request_id_of
from api.reads import address, answer
from api.reads.answer import Answer, Request
from api.reads.connection import Redis, kind
from api.reads.link import Unavailable as NoReply
from api.reads.wanted import Wanted
from domain import profile, session
from domain.errors import InvalidToken, Unavailable
from domain.keys import KeyRing
from domain.profile import Missing
from domain.session import Token

log = structlog.get_logger(__name__)

PATHS = frozenset({"/api/v1/profile/", "/api/v1/profile"})


@dataclass(frozen=True)
class Settings:
    """What the reader is told by whoever starts it; times are in seconds.

    `redis_timeout`: for a reply of Redis. `redis_waiting`: how many may wait for one.
    `missing_wait`: for a missing profile to appear. `near_copy_age`: that a near copy is trusted
    (see `api.reads.near`; 0: there are none). `elsewhere`: methods of the same path that somebody
    else answers, to be named beside ours.
    """

    redis_url: str
    keys: KeyRing
    redis_timeout: float = 1.0
    redis_waiting: int = 10_000
    missing_wait: float = 0.25
    near_copy_age: float = 0.02
    elsewhere: tuple[str, ...] = ()


class Reads:
    """The reader of one process. Nothing is opened before `start`."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.keys
        self._allowed = ", ".join((*answer.METHODS, *settings.elsewhere))
        self._redis = Redis(
            address.parse(settings.redis_url),
            patience=settings.redis_timeout,
            most=settings.redis_waiting,
            near_age=settings.near_copy_age,
        )
        self._wanted = Wanted(self._redis, settings.missing_wait)

    def start(self, loop: AbstractEventLoop) -> None:
        """Have `loop` connect to Redis; does not wait for it."""
        self._redis.start(loop)

    async def close(self) -> None:
        """End the connection, once no request is under way any more."""
        await self._redis.close()

    async def answer(self, method: str, headers: Headers) -> Answer:
        """The answer to a request for the bearer's own profile. Raises nothing."""
        request = Request(
            method,
            joined(headers, "authorization"),
            joined(headers, "if-none-match"),
            request_id_of(joined(headers, "x-request-id")),
        )
        if method not in answer.METHODS:
            return answer.wrong_method(request, self._allowed)
        try:
            text = bearer_token(request.authorization)
            digest = session.digest_of(text)
            near = self._redis.near
            if near is not None and (copy := near.find(digest)) is not None:
                return answer.answer(request, copy.token, copy.reply, time.time())
            return await self._read(request, session.check(self._keys, text, digest))
        except (InvalidToken, Unavailable) as error:
            return answer.refusal(request, error)
        except Exception:
            # Not hidden: logged. Contract and operators know this answer; the server's own,
            # an empty 500, they do not.
            log.exception("read_failed", request_id=request.request_id)
            return answer.internal_error(request)

    async def _read(self, request: Request, token: Token) -> Answer:
        try:
            try:
                return answer.answer(request, token, await self._ask(token), time.time())
            except Missing:
                await self._wanted.wait(token)
                return answer.answer(request, token, await self._ask(token), time.time())
        except hiredis.ReplyError as error:
            log.warning("profile_redis_refused", error=kind(error))
            raise Unavailable from None
        except (NoReply, Missing):
            raise Unavailable from None

    async def _ask(self, token: Token) -> list[bytes | None]:
        fields = profile.fields_of(token)
        words: tuple[bytes | str, ...] = ("HMGET", profile.key_for(token), *fields)
        near = self._redis.near
        reply: Any
        if near is not None and near.is_worth_keeping(token.digest):
            reply = await near.ask(token, words)
        else:
            reply = await self._redis.send(*words)
        if type(reply) is not list or len(reply) != len(fields):
            raise NoReply  # whatever that is, it is no Redis that we know
        return cast(list[bytes | None], reply)
