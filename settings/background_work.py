"""Settings of background work: the outbox, and Huey, which executes its entries."""

from datetime import timedelta

from environs import validate
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.postgres.backend.peewee_database import PeeweeDatabase
from domain.projection.pools import make_pool
from domain.projection.redis_pool import REJECTED
from domain.redis_url import parse_queue_url
from settings import validators
from settings.database import DATABASE_URL, DATABASES
from settings.environment import env

# seconds after which what a killed worker left undone is done by another; the slowest send takes 8
OUTBOX_LEASE = timedelta(
    seconds=env.int("OUTBOX_LEASE_SECONDS", 20, validate=validate.Range(min=1, max=86_400))
)
# days for which finished outbox entries are kept
OUTBOX_RETENTION = timedelta(days=env.int("OUTBOX_RETENTION_DAYS", 7, validate=validators.days))
# URL of the queue Redis; it may be the same as REDIS_URL, but no Cluster
QUEUE_URL = env.str(
    "QUEUE_URL", "redis://127.0.0.1:6379/1", validate=validators.parsed_by(parse_queue_url)
)
# threads of one worker process
HUEY_WORKERS = env.int("HUEY_WORKERS", 8, validate=validate.Range(min=1, max=1_000))
HUEY = {
    "name": "rollcall",
    "huey_class": "workers.batch_huey.BatchHuey",
    "immediate": False,  # djhuey's default is DEBUG: tasks would run inside the request
    "results": False,
    "connection": {
        # A repeated push would enqueue a task twice, so it is retried only after a demoted primary
        # has rejected it. The timeout must be above the consumer's blocking pop of one second.
        "connection_pool": make_pool(
            parse_queue_url(QUEUE_URL),
            server="queue",
            socket_connect_timeout=0.5,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 1, REJECTED),
        )
    },
    "consumer": {
        "workers": HUEY_WORKERS,
        "worker_type": "thread",  # they wait for providers; processes could be orphaned
        "graceful_signal": "TERM",
        "shutdown_timeout": 20,
        "periodic": True,
        "verbose": False,
    },
}
# whether tasks are recorded in Postgres and shown in the admin
HUEY_DASHBOARD = env.bool("HUEY_DASHBOARD", True)
HUEY_STATS = {
    "database": PeeweeDatabase(DATABASE_URL, **DATABASES["default"]["OPTIONS"]),
    "create_tables": False,  # a migration makes them, not every process at its start
    "max_events": 200_000,
    "inflight_hours": 0.25,  # for which a task of a killed worker is shown as running
    "capture_args": False,
}
