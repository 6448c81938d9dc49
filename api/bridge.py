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

import structlog

from api import counts
from api.client import client_of
from api.problem_documents import Problem, problem, problem_of, request_id_of
from api.server.request import Request
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

    async def answer(self, request: Request) -> Answer:
        """Django's answer, or a 400 for a body that does not come and a 503 if Django is busy.

        Raises `BodyError` if the rest of the body will never come.
        """
        try:
            async with asyncio.timeout(self._patience), self._reading:
                read = await read_at_most(request.body(), self._body_most + 1)
        except TimeoutError:
            return _refusal(request, problem("bad_request", _request_id(request)))
        if not await self._turn_came():
            counts.on_the_loop.add("busy")
            log.warning("django_busy", waiting=self._waits)
            return _refusal(request, problem_of(Unavailable(), _request_id(request)))
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._call, request, read)
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

    def _call(self, request: Request, body: bytes) -> Answer:
        started: list[Any] = []

        def start_response(*status_and_headers: Any) -> None:
            started[:] = status_and_headers

        parts = self._application(environ_of(request, body, self._proxies), start_response)
        try:
            content = b"".join(parts)
        finally:
            if close := getattr(parts, "close", None):
                close()  # Django's request is not over before this: it gives the connection back
        status, headers = started[:2]
        return int(status[:3]), headers, content


async def read_at_most(body: AsyncIterable[bytes], most: int) -> bytes:
    """The body, or its beginning: `most` octets and no more are kept, counted while they come."""
    parts, count = [], 0
    async for part in body:
        parts.append(part)
        count += len(part)
        if count >= most:
            break
    return b"".join(parts)[:most]


def environ_of(request: Request, body: bytes, proxies: int) -> dict[str, Any]:
    """The request as WSGI has it (PEP 3333), with the length of the body as it was read, and with
    the client's own address if so many trusted `proxies` name it.
    """
    name, port = request.server
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.decode("latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client_of(
            request.client, request.headers.get("x-forwarded-for", ""), proxies
        ),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),  # Django logs; nothing of it comes this way
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for header, value in request.headers.items():
        if "_" not in header:  # else it would be taken for one that a proxy may vouch for
            environ[f"HTTP_{header.upper().replace('-', '_')}"] = value
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # what is handed over has a length
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _request_id(request: Request) -> str:
    return request_id_of(request.headers.get("x-request-id", ""))


def _refusal(request: Request, document: Problem) -> Answer:
    headers = {**document.headers, "x-request-id": _request_id(request)}
    return document.status, list(headers.items()), document.body
