#!/usr/bin/env python
"""Django's commands, and Rollcall's own: relay, bootstrap_dev."""

import os
import sys

from django.core.management import execute_from_command_line


def _share_metrics() -> None:
    """Shares the metrics of a worker or relay in METRICS_DIR, or serves them on METRICS_PORT."""
    from domain.metrics.multiprocess import share_metrics
    from settings import environment

    share_metrics(environment.METRICS_DIR)
    if environment.METRICS_PORT:
        from domain.metrics.exposition import serve_metrics  # not before they are shared

        serve_metrics(environment.METRICS_PORT)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")
    if sys.argv[1:2] in (["run_huey"], ["relay"]):
        _share_metrics()
    execute_from_command_line(sys.argv)
