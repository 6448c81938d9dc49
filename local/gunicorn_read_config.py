"""gunicorn's settings for read processes as in production, but they exit with their parent.

gunicorn forks its workers, and a death signal is not inherited.
"""

from typing import Any

from api.http_server.gunicorn_config import *  # noqa: F403  # gunicorn's settings are a module's names
from local.parent_death_signal import set_parent_death_signal


def post_fork(server: Any, worker: Any) -> None:
    """Called by gunicorn in a new worker."""
    set_parent_death_signal(worker.ppid)
