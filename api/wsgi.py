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


def with_content_length(application: WSGIApplication) -> WSGIApplication:
    """Returns `application` behind a buffer for bodies that come in chunks.

    Django reads as many bytes as `Content-Length` says, none if it is absent (PEP 3333). Read here,
    a body whose framing is wrong is the server's error (400) and none of Django's. At most one byte
    more is read than the longest body may have, by which Django sees that it is too long.
    """
    limit = max(settings.BODY_MAX_BYTES, settings.WEBHOOK_BODY_MAX_BYTES)

    def buffered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = environ["wsgi.input"].read(limit + 1)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        return application(environ, start_response)

    return buffered


application = with_content_length(get_wsgi_application())
import_module(settings.ROOT_URLCONF)  # else the first request would wait for all views
# What is loaded by now stays for good: the garbage collector need not look at it again.
gc.collect()
gc.freeze()
