"""What a profile takes of Redis' memory."""

from dataclasses import dataclass
from typing import Any

from domain import profile
from domain.stores import bulk

_SAMPLE_SIZE = 10_000  # hashes whose bodies are measured


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Means, in bytes: of all that Redis uses, for each key; and of the bodies alone."""

    key_count: int
    bytes_per_key: float
    bytes_per_body: float

    @property
    def overhead_ratio(self) -> float:
        """How many times the bodies' bytes Redis uses."""
        return self.bytes_per_key / self.bytes_per_body if self.bytes_per_body else 0.0


def measure() -> MemoryUsage:
    """Right as long as nearly all keys are profiles. Raises `RedisError`."""
    stats: dict[str, Any] = bulk.get_bulk_client().memory_stats()
    keys: list[Any] = []
    cursor = 0
    while True:
        cursor, page = bulk.get_bulk_client().scan(
            cursor, match=profile.KEY_PATTERN, count=bulk.PAGE_SIZE
        )
        keys += page
        if not cursor or len(keys) >= _SAMPLE_SIZE:
            break
    bodies = bulk.execute_pipeline([("HSTRLEN", key, profile.BODY) for key in keys])
    bytes_per_body = sum(bodies) / len(bodies) if bodies else 0.0
    return MemoryUsage(int(stats["keys.count"]), float(stats["keys.bytes-per-key"]), bytes_per_body)
