"""A program that reads profiles as fast as it can and checks the responses.

Arguments: the Redis URL, SECRET_KEY, a file of tokens, one a line, and a file of 8-byte integers:
for each token the state after the last answered write (twice the version, plus one if the session
was revoked; -1 during a write), and last 1 once it is to stop. Prints a line when it has begun to
read, and one of JSON: the number of reads whose response was checked, because the state did not
change during the read, of those that used an entry of the client-side cache, and the errors.
"""

import asyncio
import json
import mmap
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.reads.client_cache import CacheEntry, ClientCache
from domain.model.keyring import Keyring
from tests.support.http_request import Reader


@contextmanager
def shared_states(path: Path) -> Iterator["memoryview[int]"]:
    """Maps the integers of a file, shared by all processes."""
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as memory,
        memoryview(memory) as buffer,
        buffer.cast("q") as states,
    ):
        yield states


def count_cache_hits() -> Callable[[], int]:
    """Returns a function that returns how many reads of this process have used an entry."""
    find, count = ClientCache.find, 0

    def counting_find(self: ClientCache, digest: bytes) -> CacheEntry | None:
        nonlocal count
        entry = find(self, digest)
        count += entry is not None
        return entry

    ClientCache.find = counting_find  # type: ignore[method-assign]  # only in this program
    return lambda: count


async def check_staleness(
    reader: Reader, token: str, states: "memoryview[int]", number: int
) -> str | None:
    """Reads once; returns an error, empty if there is none, or None if the state changed during
    the read.
    """
    expected: int = states[number]
    status, _, body = await reader.read(token)
    if expected < 0 or states[number] != expected:
        return None
    if expected & 1:
        return "" if status == 401 else f"{status} after the session had ended"
    version = int(json.loads(body)["name"].split()[1]) if status == 200 else -1
    return "" if version >= expected >> 1 else f"{status}, version {version} after {expected >> 1}"


async def main(url: str, secret: str, tokens: str, shared: str) -> None:
    """Reads until the stop flag is set."""
    token_list, cache_hits = Path(tokens).read_text().split(), count_cache_hits()
    with shared_states(Path(shared)) as states:
        reader = Reader(url, Keyring([secret]))
        reader.start()
        checked: list[str] = []
        has_begun = False
        while not states[-1]:
            numbers = [random.randrange(len(token_list)) for _ in range(8)]
            checks = [check_staleness(reader, token_list[n], states, n) for n in numbers]
            checked += [error for error in await asyncio.gather(*checks) if error is not None]
            if not has_begun:
                sys.stdout.write("reading\n")
                sys.stdout.flush()
                has_begun = True
        await reader.close()
    errors = list(filter(None, checked))
    result = {"checked": len(checked), "cache_hits": cache_hits(), "errors": errors[:10]}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
