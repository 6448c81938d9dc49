"""gunicorn's settings for read processes.

    gunicorn --config python:api.http_server.gunicorn_config --bind … api.reads.app:Application

Command-line options win over them. `--workers` (or `WEB_CONCURRENCY`) is the number of processes:
one for each core. SIGUSR2 starts a second main process on the same socket; a socket that is
inherited (systemd's `LISTEN_FDS`) is used if there is one.
"""

from domain.metrics.multiprocess import share_metrics
from settings import environment
from settings.logging_config import configure_logging

worker_class = "api.http_server.gunicorn_worker.Worker"
worker_connections = 16_384  # of each process; idle ones must not keep others out
backlog = 4096
graceful_timeout = int(environment.SHUTDOWN_DELAY) + 15  # seconds
timeout = 30  # seconds without a heartbeat, after which a process is killed and replaced
control_socket_disable = True
logconfig_dict = configure_logging(level=environment.LOG_LEVEL)

share_metrics(environment.METRICS_DIR)  # before a worker imports the metrics
