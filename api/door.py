"""The front door, which the web server runs: profile reads to `api.reads`, all else to Django.

What Django's settings say about every request is heeded here too: a request that its middleware
would not let through, such as one for a strange host, is given to Django, which has the answer.
"""

import gc
import io
import os
from asyncio import AbstractEventLoop, Task
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from api import counts
from api.bridge import Bridge
from api.problem_documents import problem, request_id_of
from api.publishing import Publisher
from api.reads import app as reads
from api.server.headers import lines
from api.server.request import BodyError, Request
from domain.stores import keys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.prod")

log = structlog.get_logger(__name__)

# Methods of the profile that Django answers.
PROFILE_WRITES = ("PATCH", "DELETE")
# They have threads of their own: an orchestrator that finds all others waiting for a hung Postgres
# must not take this process for dead, and end the reads with it.
PROBES = frozenset({b"/livez", b"/livez/", b"/readyz", b"/readyz/", b"/metrics", b"/metrics/"})
# Theirs are larger bodies than anybody else's, from whoever asks: few are read at a time.
WEBHOOKS = b"/webhooks/"
# By which a trusted proxy tells that the client spoke TLS, if there is one; as WSGI names it.
_TLS_KEY: str = (settings.SECURE_PROXY_SSL_HEADER or ("",))[0]
_TLS_HEADER = _TLS_KEY.removeprefix("HTTP_").replace("_", "-").lower()


class Door:
    """The application that the web server runs (`api.server.connection.Application`)."""

    def __init__(self) -> None:
        django = get_wsgi_application()
        most, proxies = settings.BODY_MAX_BYTES, settings.TRUSTED_PROXIES
        threads = settings.WEB_THREADS
        self._django = Bridge(django, threads=threads, body_most=most, proxies=proxies)
        self._probes = Bridge(django, threads=2, body_most=most, proxies=proxies, waiting=16)
        most = settings.WEBHOOK_BODY_MAX_BYTES
        self._webhooks = Bridge(
            django, threads=2, body_most=most, proxies=proxies, waiting=16, reading=16
        )
        self._publisher = Publisher(settings.METRICS_DIR, [counts.on_the_loop, counts.in_threads])
        self._reads = reads.Reads(
            reads.Settings(
                redis_url=settings.REDIS_URL,
                keys=keys.ring(),
                redis_timeout=settings.READ_REDIS_TIMEOUT,
                redis_waiting=settings.READ_REDIS_WAITING,
                missing_wait=settings.READ_MISSING_WAIT,
                near_copy_age=settings.NEAR_COPY_AGE,
                elsewhere=PROFILE_WRITES,
            )
        )
        self._loop: AbstractEventLoop
        self._tasks: set[Task[None]] = set()

    def start(self, loop: AbstractEventLoop) -> None:
        """Called before the first request."""
        # What was loaded until now stays for good: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._loop = loop
        self._reads.start(loop)
        self._publisher.start()

    async def close(self) -> None:
        """Called after the last request was answered."""
        await self._reads.close()
        self._django.close()
        self._probes.close()
        self._webhooks.close()
        self._publisher.close()

    def handle(self, request: Request) -> None:
        """Answer a request, now or later. Raises nothing."""
        is_read = request.target in reads.PATHS or request.path in reads.PATHS
        if is_read and request.method not in PROFILE_WRITES:
            headers = request.headers
            manners = manners_for(
                headers.get("host", ""),
                request.server,
                headers.get(_TLS_HEADER) if _TLS_HEADER else None,
            )
            if manners is not None:
                self._reads.read(request, manners)
                return
        task = self._loop.create_task(self._through_django(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refusal(self) -> tuple[int, bytes, bytes]:
        """400, for whoever does not speak HTTP."""
        counts.on_the_loop.add("not_http")
        return _problem("bad_request", request_id_of(""))

    async def _through_django(self, request: Request) -> None:
        path = request.path
        if path in PROBES:
            bridge = self._probes
        else:
            bridge = self._webhooks if path.startswith(WEBHOOKS) else self._django
        try:
            status, headers, body = await bridge.answer(request)
            if status == HTTPStatus.NO_CONTENT:  # Django tells a length of 0 (RFC 9110 section 8.6)
                headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            request.answer(status, lines(headers), body)
        except BodyError:
            request.answer(*self.refusal())  # it was no HTTP; or nobody is there to see this
        except Exception:
            # Not hidden: logged. Django answers for its own errors; this is one of ours.
            request_id = request_id_of(request.headers.get("x-request-id", ""))
            log.exception("request_failed", request_id=request_id)
            request.answer(*_problem("internal_error", request_id))


def _problem(code: str, request_id: str) -> tuple[int, bytes, bytes]:
    document = problem(code, request_id)
    head = lines([*document.headers.items(), ("x-request-id", request_id)])
    return document.status, head, document.body


@lru_cache(1024)
def manners_for(host: str, server: tuple[str, int], proxy_tells: str | None) -> bytes | None:
    """The headers that Django's middleware adds to every answer to such a request for a profile.

    None if it would not let the request through: `Host` is not ours, or TLS is wanted.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/v1/profile/",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": Request.scheme,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
    }
    environ |= {"HTTP_HOST": host} if host else {}
    if proxy_tells is not None:
        environ[_TLS_KEY] = proxy_tells
    request = WSGIRequest(environ)
    try:
        request.get_host()
    except DisallowedHost:
        return None
    through = HttpResponse()
    del through["Content-Type"]
    response = XFrameOptionsMiddleware(SecurityMiddleware(lambda _: through))(request)
    if response is not through:
        return None
    return lines(through.items())
