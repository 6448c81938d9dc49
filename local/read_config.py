"""gunicorn's settings for read processes as in production, but that they die with their parent.

gunicorn forks its workers, and a death signal is not inherited.
"""

from typing import Any

from api.http_server.gunicorn_config import *  # noqa: F403  # gunicorn's settings are a module's names
from local.death import die_with_parent


def post_fork(server: Any, worker: Any) -> None:
    """gunicorn calls this first thing in a worker."""
    die_with_parent(worker.ppid)
