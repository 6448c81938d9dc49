"""The configuration of a full run (some fifteen minutes) and a quick one (three)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Numbers of people and rounds, and seconds of each load."""

    people: int = 100_000
    hot: int = 100
    rounds: int = 5
    seconds: float = 4
    warm_up: int = 20_000  # reads that are not measured: Node compiles at run time
    growth: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    knee_seconds: float = 3
    sign_up_seconds: float = 5
    mixed_load_seconds: float = 10  # of reads at 200 per second, during sign-ups
    mixed_load_rounds: int = 3
    rebuild: int = 1_000_000


FULL = Config()
QUICK = Config(
    people=20_000,
    rounds=2,
    seconds=1,
    warm_up=2_000,
    growth=(5_000, 50_000),
    knee_seconds=1,
    sign_up_seconds=2,
    mixed_load_seconds=2,
    mixed_load_rounds=1,
    rebuild=20_000,
)
