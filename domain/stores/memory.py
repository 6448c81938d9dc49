"""What a profile takes of Redis' memory."""

from dataclasses import dataclass
from typing import Any

from domain import profile
from domain.stores import bulk

_SAMPLE = 10_000  # hashes whose bodies are measured


@dataclass(frozen=True, slots=True)
class Memory:
    """Means, in bytes: of all that Redis uses, for each key; and of the bodies alone."""

    keys: int
    used: float
    body: float

    @property
    def factor(self) -> float:
        """How many times the bodies' bytes Redis uses."""
        return self.used / self.body if self.body else 0.0


def measure() -> Memory:
    """Right as long as nearly all keys are profiles. Raises `RedisError`."""
    stats: dict[str, Any] = bulk.redis().memory_stats()
    keys: list[Any] = []
    cursor = 0
    while True:
        cursor, more = bulk.redis().scan(cursor, match=profile.KEYS, count=bulk.PAGE)
        keys += more
        if not cursor or len(keys) >= _SAMPLE:
            break
    bodies = bulk.ask([("HSTRLEN", key, profile.BODY) for key in keys])
    body = sum(bodies) / len(bodies) if bodies else 0.0
    return Memory(int(stats["keys.count"]), float(stats["keys.bytes-per-key"]), body)
