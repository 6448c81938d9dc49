"""gunicorn's settings for write processes as in production, but they exit with their parent, and
listen on WRITE_UPSTREAM.
"""

from typing import Any

from api.writes.gunicorn_config import *  # noqa: F403  # gunicorn's settings are a module's names
from local.parent_death_signal import set_parent_death_signal
from settings.environment import WRITE_UPSTREAM

bind = WRITE_UPSTREAM


def post_fork(server: Any, worker: Any) -> None:
    """Called by gunicorn in a new worker."""
    set_parent_death_signal(worker.ppid)
