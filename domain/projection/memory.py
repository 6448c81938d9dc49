"""Memory usage of the profiles in Redis."""

from dataclasses import dataclass
from typing import Any

from domain import profile
from domain.projection import pipeline

_SAMPLE_SIZE = 10_000  # hashes whose bodies are measured


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Means, in bytes: of Redis' memory for each key, and of the profile bodies."""

    key_count: int
    bytes_per_key: float
    bytes_per_body: float

    @property
    def overhead_ratio(self) -> float:
        """Returns Redis' memory as a multiple of the bodies' bytes."""
        return self.bytes_per_key / self.bytes_per_body if self.bytes_per_body else 0.0


def measure() -> MemoryUsage:
    """Measures the usage; right as long as nearly all keys are profiles. Raises `RedisError`."""
    stats: dict[str, Any] = pipeline.get_bulk_client().memory_stats()
    keys: list[Any] = []
    cursor = 0
    while True:
        cursor, page = pipeline.get_bulk_client().scan(
            cursor, match=profile.KEY_PATTERN, count=pipeline.PAGE_SIZE
        )
        keys += page
        if not cursor or len(keys) >= _SAMPLE_SIZE:
            break
    bodies = pipeline.execute_pipeline([("HSTRLEN", key, profile.BODY) for key in keys])
    bytes_per_body = sum(bodies) / len(bodies) if bodies else 0.0
    return MemoryUsage(int(stats["keys.count"]), float(stats["keys.bytes-per-key"]), bytes_per_body)
