"""Django behind the front door: a WSGI application, called in a bounded pool of threads.

The event loop reads the request's body and sends the answer; a thread is taken only for the time
in which Django works. So a slow client holds no thread, and a slow Django no event loop.
"""

import asyncio
import io
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

import structlog

from api import counts
from api.client import client_of
from api.interface import Scope, joined
from api.problem_documents import Problem, problem, problem_of, request_id_of
from domain.errors import Unavailable

log = structlog.get_logger(__name__)

type WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
type Answer = tuple[int, list[tuple[str, str]], bytes]


class Bridge:
    """Calls `application` in at most `threads` threads.

    At most `waiting` more requests wait for a thread, each `patience` seconds at most, and get a
    503 after that. A body is read up to one octet more than `body_most`, by which Django sees
    that it is too long, and has `patience` seconds to arrive; at most `reading` bodies, if that is
    given, are read at a time, so that large ones cannot fill the memory. So many `proxies` are
    believed when they say who the client is.
    """

    def __init__(
        self,
        application: WSGI,
        *,
        threads: int,
        body_most: int,
        waiting: int = 256,
        patience: float = 10.0,
        proxies: int = 0,
        reading: int | None = None,
    ) -> None:
        self._proxies = proxies
        self._application = application
        self._body_most = body_most
        self._waiting = waiting
        self._patience = patience
        self._reading = asyncio.Semaphore(reading) if reading else nullcontext()
        self._waits = 0
        self._free = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="django")

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self._pool.shutdown()

    async def answer(self, scope: Scope, body: AsyncIterable[bytes]) -> Answer:
        """Django's answer, or a 400 for a body that does not come and a 503 if Django is busy."""
        try:
            async with asyncio.timeout(self._patience), self._reading:
                read = await read_at_most(body, self._body_most + 1)
        except TimeoutError:
            return _refusal(scope, problem("bad_request", _request_id(scope)))
        if not await self._turn_came():
            counts.on_the_loop.add("busy")
            log.warning("django_busy", waiting=self._waits)
            return _refusal(scope, problem_of(Unavailable(), _request_id(scope)))
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._call, scope, read)
        # The thread is free when its work is done, not when a client who waited for it is gone.
        work.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(work)

    async def _turn_came(self) -> bool:
        if self._free.locked() and self._waits >= self._waiting:
            return False
        self._waits += 1
        try:
            async with asyncio.timeout(self._patience):
                return await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waits -= 1

    def _call(self, scope: Scope, body: bytes) -> Answer:
        started: list[Any] = []

        def start_response(*status_and_headers: Any) -> None:
            started[:] = status_and_headers

        parts = self._application(environ_of(scope, body, self._proxies), start_response)
        try:
            content = b"".join(parts)
        finally:
            if close := getattr(parts, "close", None):
                close()  # Django's request is not over before this: it gives the connection back
        status, headers = started[:2]
        return int(status[:3]), [(name.lower(), value) for name, value in headers], content


async def read_at_most(body: AsyncIterable[bytes], most: int) -> bytes:
    """The body, or its beginning: `most` octets and no more are kept, counted while they come."""
    parts, count = [], 0
    async for part in body:
        parts.append(part)
        count += len(part)
        if count >= most:
            break
    return b"".join(parts)[:most]


def environ_of(scope: Scope, body: bytes, proxies: int) -> dict[str, Any]:
    """The request as WSGI has it (PEP 3333), with the length of the body as it was read, and with
    the client's own address if so many trusted `proxies` name it.
    """
    peer = scope.client.rpartition(":")[0].strip("[]")
    server = urlsplit(f"//{scope.server}")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.hostname or "",
        "SERVER_PORT": str(server.port or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": client_of(peer, joined(scope.headers, "x-forwarded-for"), proxies),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),  # Django logs; nothing of it comes this way
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        _add_header(environ, name, value)
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # what is handed over has a length
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    if "_" in name:
        return  # it would be taken for the header with a hyphen, which a proxy may vouch for
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if key in environ:
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


def _request_id(scope: Scope) -> str:
    return request_id_of(joined(scope.headers, "x-request-id"))


def _refusal(scope: Scope, document: Problem) -> Answer:
    headers = {**document.headers, "x-request-id": _request_id(scope)}
    return document.status, list(headers.items()), document.body
