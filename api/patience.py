"""Asking Postgres with an end to the wait.

Its own time-outs are kept by the server, and by a kernel that still says "received": a server that
hangs keeps whoever asks it. So a thread of its own asks, and whoever wants to know waits for it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from domain.errors import Unavailable

log = structlog.get_logger(__name__)

_PATIENCE = 2.0  # seconds
_asking = ThreadPoolExecutor(1, thread_name_prefix="postgres")


def answer_of_postgres[T](question: Callable[[], T]) -> T:
    """What `question` returns. Raises `Unavailable` if Postgres is away, or takes over 2 s."""
    asked = _asking.submit(_ask, question)
    try:
        return asked.result(timeout=_PATIENCE)
    except (OperationalError, InterfaceError, TimeoutError) as error:
        asked.cancel()
        log.warning("postgres_unavailable", error=type(error).__name__)
        raise Unavailable from None


def _ask[T](question: Callable[[], T]) -> T:
    close_old_connections()  # as Django does before a request, in the thread that serves it
    return question()
