"""The product's front door, in a web worker process that dies when granian's main dies.

granian forks its workers, and a death signal is not inherited. granian imports its target in each
worker, first thing; so this is where a worker can ask for one of its own.
"""

import multiprocessing

from local.death import die_with_parent

_granian = multiprocessing.parent_process()
if _granian is None or _granian.pid is None:
    raise RuntimeError("local.web is for granian's worker processes")
die_with_parent(_granian.pid)

from api.rsgi import door  # noqa: E402  (only once nothing can be left behind)

__all__ = ["door"]
