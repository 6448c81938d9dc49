"""The backend keys that a read process accepts: those of the last set that Redis had."""

from typing import Any

import structlog

from api.bearer import bearer_token
from domain import backend_keys
from domain.backend_keys import KeySet
from domain.model.backend_key import is_well_formed, key_digest
from domain.model.errors import InvalidToken, ServiceUnavailable

log = structlog.get_logger(__name__)

_MAX_ACCEPTED = 1024  # headers; a hash of the key costs as much as the rest of the check
_UNKNOWN = -1


class BackendKeys:
    """The newest set of backend keys. It stays in use while Redis is unavailable: without Redis, a
    reader cannot introspect a token either.
    """

    def __init__(self) -> None:
        self._keys: KeySet | None = None
        self._last_reply: Any = None
        self._accepted: dict[str, int | None] = {}  # by the header, which a backend repeats

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
            self._accepted.clear()
            log.info("backend_keys_loaded", keys=len(keys.ends_at))

    def check(self, authorization: str, now: float) -> None:
        """Returns if the key in `Authorization` is valid at Unix time `now`. Raises `InvalidToken`
        if it is not, and `ServiceUnavailable` while no set is known.
        """
        ends_at = self._accepted.get(authorization, _UNKNOWN)
        if ends_at is _UNKNOWN:
            ends_at = self._find(authorization)
        if ends_at is not None and ends_at <= now:
            raise InvalidToken

    def _find(self, authorization: str) -> int | None:
        """Returns when the key ends, and remembers it. Raises as `check` does."""
        key = bearer_token(authorization)
        if self._keys is None:
            raise ServiceUnavailable if is_well_formed(key) else InvalidToken
        digest = key_digest(key)
        if digest not in self._keys.ends_at:
            raise InvalidToken
        if len(self._accepted) >= _MAX_ACCEPTED:
            self._accepted.clear()
        ends_at = self._accepted[authorization] = self._keys.ends_at[digest]
        return ends_at
