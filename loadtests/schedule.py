"""When requests are due: an open-loop schedule, which no response delays."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import ceil
from typing import NamedTuple

from loadtests.profiles import Stage

READ, SIGN_UP = "read", "sign-up"


class Arrival(NamedTuple):
    """A request, due `due` seconds after the start (less than 0: warm-up), in the n-th stage."""

    stage: int
    due: float
    kind: str


def arrivals(
    stages: Sequence[Stage],
    writes: float,
    warm_up: float = 0.0,
    continues: Callable[[int], bool] = lambda _: True,
) -> Iterator[Arrival]:
    """Yields the requests in order, until `continues` returns False for the next stage.

    Within each second they are due at random times, as those of independent clients are (a Poisson
    process with a given count). The fraction `writes` of them are sign-ups, evenly spread.
    """
    numbers = count(1)
    start = -warm_up
    for number, stage in enumerate([Stage(warm_up, stages[0].rate), *stages], start=-1):
        if number > 0 and not continues(number):
            return
        for second in range(ceil(stage.seconds)):
            end = min(second + 1, stage.seconds)
            requests = round(end * stage.rate / 60) - round(second * stage.rate / 60)
            for due in sorted(random.uniform(second, end) for _ in range(requests)):
                n = next(numbers)
                is_write = int(n * writes) > int((n - 1) * writes)
                yield Arrival(number, start + due, SIGN_UP if is_write else READ)
        start += stage.seconds
