"""The read of a profile: GET and HEAD, from Redis and nothing else.

No coroutine and no task on the way that nearly all reads take: the reply of Redis calls what makes
the answer, and that calls what sends it.
"""

from asyncio import AbstractEventLoop, Task
from dataclasses import dataclass
from functools import partial
from time import perf_counter, time
from typing import Any

import hiredis
import structlog

from api.bearer import bearer_token
from api.counts import on_the_loop as counts
from api.problem_documents import request_id_of
from api.reads import address, answer
from api.reads.answer import Answer, Headers
from api.reads.connection import Redis, kind
from api.reads.link import Unavailable as NoReply
from api.reads.wanted import Wanted
from api.server.request import Request
from domain import profile, session
from domain.errors import InvalidToken, Unavailable
from domain.keys import KeyRing
from domain.profile import Missing
from domain.session import Token

log = structlog.get_logger(__name__)

PATHS = frozenset({b"/api/v1/profile/", b"/api/v1/profile"})

_HMGET = b"*6\r\n$5\r\nHMGET\r\n$34\r\np:%b\r\n$1\r\nb\r\n$1\r\ne\r\n$1\r\nv\r\n$32\r\n%b\r\n"


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
        self._loop: AbstractEventLoop
        self._waits: set[Task[None]] = set()

    def start(self, loop: AbstractEventLoop) -> None:
        """Have `loop` connect to Redis; does not wait for it."""
        self._loop = loop
        self._redis.start(loop)

    async def close(self) -> None:
        """End the connection, once no request is under way any more."""
        await self._redis.close()

    def read(self, request: Request, manners: bytes) -> None:
        """Answer a request for the bearer's own profile, now or later, and end the answer's head
        with the lines in `manners`. Raises nothing.
        """
        began = perf_counter()
        try:
            found = self._begin(request, manners, began)
        except Exception as error:  # noqa: BLE001  # each is answered, and logged if it is not ours
            found = _failure(request.headers, error)
        if found is not None:
            _tell(request, manners, began, found)

    def _begin(self, request: Request, manners: bytes, began: float) -> Answer | None:
        """The answer, if it can be given without asking Redis."""
        headers = request.headers
        if request.method not in answer.METHODS:
            return answer.wrong_method(headers, self._allowed)
        text = bearer_token(headers.get("authorization", ""))
        digest = session.digest_of(text)
        near = self._redis.near
        if near is not None and (copy := near.find(digest)) is not None:
            return answer.answer(headers, copy.token, copy.reply, time())
        token = session.check(self._keys, text, digest)
        heed = partial(self._heed, request, manners, began, token)
        if near is not None and near.is_worth_keeping(digest):
            near.ask(token, _question(token), heed)
        else:
            self._redis.ask(_question(token), heed)
        return None

    def _heed(
        self, request: Request, manners: bytes, began: float, token: Token, reply: Any
    ) -> None:
        """Answer with what Redis said, or wait for what it has not got."""
        try:
            found = answer.answer(request.headers, token, _fields(reply), time())
        except Missing:
            wait = self._loop.create_task(self._wait(request, manners, began, token))
            self._waits.add(wait)
            wait.add_done_callback(self._waits.discard)
            return
        except Exception as error:  # noqa: BLE001  # as in `read`
            found = _failure(request.headers, error)
        _tell(request, manners, began, found)

    async def _wait(self, request: Request, manners: bytes, began: float, token: Token) -> None:
        """Answer once the profile has come, or patience is at its end."""
        try:
            await self._wanted.wait(token)
            key, fields = profile.key_for(token), profile.fields_of(token)
            reply = await self._redis.send("HMGET", key, *fields)
            found = answer.answer(request.headers, token, _fields(reply), time())
        except Exception as error:  # noqa: BLE001  # as in `read`
            found = _failure(request.headers, error)
        _tell(request, manners, began, found)


def _tell(request: Request, manners: bytes, began: float, found: Answer) -> None:
    status, head, body = found
    request.answer(status, head + manners, body)
    counts.took(perf_counter() - began, "read_seconds", status)


def _question(token: Token) -> bytes:
    """HMGET of `profile.key_for` and `profile.fields_of`, as it goes over the wire: here, because
    packing it anew costs three times as much.
    """
    return _HMGET % (token.person.hex().encode(), token.digest)


def _fields(reply: Any) -> list[bytes | None]:
    """The fields in a reply, or the error that came in its place."""
    if isinstance(reply, Exception):
        raise reply
    if type(reply) is not list or len(reply) != profile.FIELDS:
        raise NoReply  # whatever that is, it is no Redis that we know
    return reply


def _failure(headers: Headers, error: Exception) -> Answer:
    match error:
        case InvalidToken() | Unavailable():
            return answer.refusal(headers, error)
        case NoReply() | Missing():
            return answer.refusal(headers, Unavailable())
        case hiredis.ReplyError():
            log.warning("profile_redis_refused", error=kind(error))
            return answer.refusal(headers, Unavailable())
    # Contract and operators know this answer; a connection that is cut, they do not.
    request_id = request_id_of(headers.get("x-request-id", ""))
    log.error("read_failed", request_id=request_id, exc_info=error)
    return answer.internal_error(request_id)
