"""The WSGI entry point that the web server loads."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.prod")
_django = get_wsgi_application()

# Python lets a thread that computes go on for 5 ms before another may run. A read takes less than
# a millisecond, and should not stand behind a sign-up for five.
sys.setswitchinterval(0.0005)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, which also reads a body that was sent in chunks.

    Such a body has no length, and Django takes that for no body at all. It may have as many
    octets as any other, and is given one more, by which the parser knows that it is too long.
    """
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        environ["CONTENT_LENGTH"] = str(settings.BODY_MAX_BYTES + 1)
    return _django(environ, start_response)
