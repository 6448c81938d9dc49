"""When requests are due: an open-loop schedule, which no response delays."""

import random
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from loadtests.profiles import Stage

READ, SIGN_UP = "read", "sign-up"


class Arrival(NamedTuple):
    """A request, due `due` seconds after the start (less than 0: warm-up), in the n-th stage."""

    stage: int
    due: float


def arrivals(
    stages: Sequence[Stage],
    fraction: float,
    warm_up: float = 0.0,
    continues: Callable[[int], bool] = lambda _: True,
) -> Iterator[Arrival]:
    """Yields a fraction of the requests in order, until `continues` returns False for a next stage.

    Within each second they are due at random times, as those of independent clients are (a Poisson
    process with a given count).
    """
    start = -warm_up
    for number, stage in enumerate([Stage(warm_up, stages[0].rate), *stages], start=-1):
        if number > 0 and not continues(number):
            return
        rate = stage.rate * fraction / 60
        for second in range(ceil(stage.seconds)):
            end = min(second + 1, stage.seconds)
            count = round(end * rate) - round(second * rate)
            for due in sorted(random.uniform(second, end) for _ in range(count)):
                yield Arrival(number, start + due)
        start += stage.seconds
