"""gunicorn's settings for the write process, which is Django in a pool of threads:

    gunicorn --config python:api.writes.gunicorn_config --bind unix:write.sock api.wsgi:application

Options of the command line win. `--workers` (or `WEB_CONCURRENCY`) is the number of processes.

A thread reads the whole request, and gunicorn has no deadline for that. A client that sends byte by
byte would hold one of the few threads, so a proxy that buffers requests has to be in front: the
read process, nginx, or HAProxy with `option http-buffer-request`.
"""

import math

from gunicorn.glogging import Logger

from domain.metrics.multiprocess import share_metrics
from settings import environment
from settings.logging_config import configure_logging

worker_class = "gthread"
threads = environment.WRITE_THREADS  # of each process
worker_connections = 1000  # of each process, those that wait for a thread included
backlog = 2048
graceful_timeout = 15  # seconds for the requests in progress when a process is stopped
timeout = 30  # seconds without a heartbeat of its main loop, after which a process is replaced
# Seconds. Longer than proxies keep idle connections (nginx: 60), so that it is they who close one;
# otherwise they would send a request into a connection that is just being closed. The read process
# asks for none to be kept.
keepalive = math.ceil(environment.KEEP_ALIVE_TIMEOUT)
# As in the read process, with room for the fields that a proxy adds. A request line is at most
# 8,190 bytes: gunicorn's own limit.
limit_request_line = 8190
limit_request_fields = 128
limit_request_field_size = 65_536
# Nothing that a client sends changes what gunicorn passes to Django of the connection: it is Django
# that decides whom to trust (SECURE_PROXY_SSL_HEADER, TRUSTED_PROXIES). gunicorn trusts each peer
# on a unix socket, so no header may be named here at all.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
control_socket_disable = True
logconfig_dict = configure_logging(level=environment.LOG_LEVEL)


class LoggerWithOptionalAccessLog(Logger):
    """gunicorn's logger, with an access log only where `--access-logfile` asks for one. With
    `logconfig_dict` gunicorn would always describe each request, here for a logger without a
    handler: 6 % of the time that its threads hold the GIL.
    """

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog)


logger_class = LoggerWithOptionalAccessLog


def on_starting(arbiter: object) -> None:
    """Called by gunicorn in its main process, before it starts others."""
    share_metrics(environment.METRICS_DIR)


def post_worker_init(worker: object) -> None:
    """Called by gunicorn in each process, once it has loaded the application."""
    from domain.projection.fencing import ensure_since  # it needs Django's settings

    ensure_since()
