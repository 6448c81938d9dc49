"""The backend keys that a read process accepts: those of the last set that Redis had."""

from typing import Any

import structlog

from domain import backend_keys
from domain.backend_keys import KeySet
from domain.model.backend_key import is_well_formed, key_digest
from domain.model.errors import InvalidToken, ServiceUnavailable

log = structlog.get_logger(__name__)


class BackendKeys:
    """The newest set of backend keys. It stays in use while Redis is unavailable: without Redis, a
    reader cannot introspect a token either.
    """

    def __init__(self) -> None:
        self._keys: KeySet | None = None
        self._last_reply: Any = None

    def load(self, reply: Any, identity: bytes) -> None:
        """Takes the set in the reply to `backend_keys.load_command` of the server with that
        identity, unless it is older. Any other reply changes nothing.
        """
        if reply == self._last_reply:
            return
        try:
            keys = backend_keys.decode_reply(reply, identity)
        except (ValueError, AttributeError):  # written by something else
            log.error("backend_keys_malformed")
            return
        if keys and (self._keys is None or keys.version >= self._keys.version):
            self._keys, self._last_reply = keys, reply
            log.info("backend_keys_loaded", keys=len(keys.ends_at))

    def check(self, key: str, now: float) -> None:
        """Returns if a key is valid at Unix time `now`. Raises `InvalidToken` if it is not, and
        `ServiceUnavailable` while no set is known.
        """
        if self._keys is not None:
            ends_at = self._keys.ends_at.get(key_digest(key), 0)
            if ends_at is None or ends_at > now:
                return
        elif is_well_formed(key):
            raise ServiceUnavailable
        raise InvalidToken
