"""The front door, which the web server loads: profile reads to `api.reads`, all else to Django.

What Django's settings say about every request is heeded here too: a request that its middleware
would not let through, such as one for a strange host, is given to Django, which has the answer.
"""

import gc
import io
import os
from asyncio import AbstractEventLoop
from functools import lru_cache
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from api import counts
from api.bridge import Bridge
from api.interface import Exchange, Scope
from api.publishing import Publisher
from api.reads import app as reads
from domain.stores import keys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.prod")

# Methods of the profile that Django answers.
PROFILE_WRITES = ("PATCH", "DELETE")
# They have threads of their own: an orchestrator that finds all others waiting for a hung Postgres
# must not take this process for dead, and end the reads with it.
PROBES = frozenset({"/livez", "/livez/", "/readyz", "/readyz/", "/metrics", "/metrics/"})
# Theirs are larger bodies than anybody else's, from whoever asks: few are read at a time.
WEBHOOKS = "/webhooks/"
# By which a trusted proxy tells that the client spoke TLS, if there is one; as WSGI names it.
_TLS_KEY: str = (settings.SECURE_PROXY_SSL_HEADER or ("",))[0]
_TLS_HEADER = _TLS_KEY.removeprefix("HTTP_").replace("_", "-").lower()


class Door:
    """The RSGI application (granian's interface)."""

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

    def __rsgi_init__(self, loop: AbstractEventLoop) -> None:
        """Called before the first request."""
        # What was loaded until now stays for good: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._reads.start(loop)
        self._publisher.start()

    def __rsgi_del__(self, loop: AbstractEventLoop) -> None:
        """Called after the last request was answered."""
        loop.run_until_complete(self._reads.close())
        self._django.close()
        self._probes.close()
        self._webhooks.close()
        self._publisher.close()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """One request."""
        headers = scope.headers
        if scope.path in reads.PATHS and scope.method not in PROFILE_WRITES:
            proxy_tells = headers.get(_TLS_HEADER) if _TLS_HEADER else None
            manners = manners_for(
                headers.get("host") or "", scope.server, scope.scheme, proxy_tells
            )
            if manners is not None:
                began = perf_counter()
                status, own, body = await self._reads.answer(scope.method, headers)
                exchange.response_bytes(status, [*own, *manners], body)
                counts.on_the_loop.took(perf_counter() - began, "read_seconds", status)
                return
        exchange.response_bytes(*await self._bridge(scope.path).answer(scope, exchange))

    def _bridge(self, path: str) -> Bridge:
        if path in PROBES:
            return self._probes
        return self._webhooks if path.startswith(WEBHOOKS) else self._django


@lru_cache(1024)
def manners_for(
    host: str, server: str, scheme: str, proxy_tells: str | None
) -> tuple[tuple[str, str], ...] | None:
    """The headers that Django's middleware adds to every answer to such a request for a profile.

    None if it would not let the request through: `Host` is not ours, or TLS is wanted.
    """
    name, _, port = server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/v1/profile/",
        "wsgi.input": io.BytesIO(),
    }
    environ |= {"SERVER_NAME": name, "SERVER_PORT": port, "wsgi.url_scheme": scheme}
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
    return tuple((name.lower(), value) for name, value in through.items())


door = Door()
