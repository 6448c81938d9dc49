"""CLIENT TRACKING: Redis sends invalidation messages for the client-side cache."""

from functools import partial

import hiredis
import structlog

from api.reads.client_cache import ClientCache
from api.reads.redis.connection import MultiplexedConnection, encode_command, error_code

log = structlog.get_logger(__name__)

_TRACKING_ON = (
    encode_command(("HELLO", "3")),
    encode_command(("CLIENT", "TRACKING", "ON", "OPTIN")),
)


async def enable_tracking(connection: MultiplexedConnection, cache: ClientCache) -> bool:
    """Asks Redis for invalidation messages for a cache; returns whether it supports and permits
    them. Raises `RedisUnavailable`.
    """
    connection.on_push = partial(cache.invalidate, connection)
    try:
        for command in _TRACKING_ON:
            await connection.execute_command(command)
    except hiredis.ReplyError as error:
        log.warning("client_cache_disabled", error_type=error_code(error))
        return False
    return True
