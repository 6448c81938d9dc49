"""How gunicorn runs the web server: `gunicorn -c python:api.server.config --bind … api.door:Door`.

Whatever stands here can be set on the command line too, which wins. `--workers` (or
`WEB_CONCURRENCY`) says how many processes there are: one for each core. SIGUSR2 starts a second
main process on the same socket; an inherited socket (systemd's `LISTEN_FDS`) is used if there is.
"""

import os

from settings.logs import logging_config

worker_class = "api.server.worker.Worker"
worker_connections = 16_384  # of each process; idle ones must not keep others out
backlog = 4096
graceful_timeout = 15  # seconds for what is under way when a process is told to end
timeout = 30  # seconds without a sign of life, after which a process is killed and replaced
control_socket_disable = True
logconfig_dict = logging_config(level=os.environ.get("LOG_LEVEL") or "INFO")
