"""gunicorn's settings for write processes as in production, but that they die with their parent,
and listen where WRITE_UPSTREAM says.
"""

from typing import Any

from api.writes.gunicorn_config import *  # noqa: F403  # gunicorn's settings are a module's names
from local.death import die_with_parent
from settings.environment import WRITE_UPSTREAM

bind = WRITE_UPSTREAM


def post_fork(server: Any, worker: Any) -> None:
    """gunicorn calls this first thing in a worker."""
    die_with_parent(worker.ppid)
