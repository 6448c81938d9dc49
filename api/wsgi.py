"""The WSGI application of the write process: Django."""

import gc
import io
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.prod")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

type WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_buffered_body(application: WSGIApplication) -> WSGIApplication:
    """Returns `application`, called once the body of a request has been read into memory.

    Django by itself would see no body that comes in chunks: it reads as many bytes as
    `Content-Length` says (PEP 3333). And a body that a view leaves unread would cost the connection
    that the response has just said is kept. Of a body that is too long one byte more is read than
    the longest may have; see `api.writes.middleware.RequestBodyMiddleware`. One whose framing is
    wrong gunicorn answers, with a 400.
    """
    limit = max(settings.BODY_MAX_BYTES, settings.WEBHOOK_BODY_MAX_BYTES) + 1

    def buffered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(limit)
        if len(body) < min(int(environ.get("CONTENT_LENGTH") or 0), limit):
            # The client closed the connection: what it did not send whole must not be carried out.
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
        environ["wsgi.input"] = io.BytesIO(body)
        return application(environ, start_response)

    return buffered


application = with_buffered_body(get_wsgi_application())
import_module(settings.ROOT_URLCONF)  # else the first request would wait for all views
# What is loaded by now stays for good. Left to the garbage collector, each full collection would
# look at all of it, and stop every thread for a fifth of a second.
gc.collect()
gc.freeze()
