"""The multiplexed Redis connection: whatever it receives, each command has one outcome.

Connection, parser and event loop are those of production; a script plays Redis.
"""

from dataclasses import dataclass
from typing import Any

import hiredis
import structlog.testing
import uvloop
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from api.reads.redis.connection import RedisUnavailable
from tests.conftest import LONG
from tests.support.redis_pipe import Pipe

FUZZ_SETTINGS = settings(
    max_examples=20_000 if LONG else 100,
    derandomize=not LONG,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
)
ERROR = hiredis.ReplyError("OOM command not allowed")


class CallbackError(Exception):
    """Raised by a callback."""


def encode(value: Any) -> bytes:
    """Encodes a reply as Redis does (RESP3)."""
    match value:
        case None:
            return b"_\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case list():
            return b"*%d\r\n%b" % (len(value), b"".join(map(encode, value)))
        case _:
            return b"-%b\r\n" % str(value).encode()


PUSH = b">2\r\n" + encode(b"invalidate") + encode([b"p:0"])

# Invalid data that Redis sends at the end, if any, and whether it closes the connection.
ENDINGS = {
    "goes on": (b"", False),
    "hangs up": (b"", True),
    "hangs up in a reply": (b"$100\r\nabc", True),
    "hangs up in an array": (b"*2\r\n$1\r\na\r\n", True),
    "speaks nonsense": (b"?what\r\n", False),
}


@dataclass(frozen=True)
class Command:
    """A command, its reply, the action of its callback, and how many pushes precede the reply."""

    reply: Any
    callback: str = "returns"
    pushes: int = 0


values = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | st.binary(max_size=40) | st.just(b"\r\n"),
    lambda nested: st.lists(nested, max_size=3),
    max_leaves=4,
)
commands = st.builds(
    Command,
    reply=values | st.just(ERROR),
    callback=st.sampled_from(["returns", "returns", "raises", "closes", "sends"]),
    pushes=st.sampled_from([0, 0, 0, 1, 2]),
)


def are_equal(first: Any, second: Any) -> bool:
    """Returns whether two replies are equal; errors are compared by their text."""
    if isinstance(second, Exception):
        return type(first) is type(second) and str(first) == str(second)
    return bool(first == second)


async def run(script: list[Command], answered: int, ending: str, sizes: list[int]) -> None:
    """Sends all commands, replies to the first `answered`, then does what `ending` says."""
    pushes_sent: list[Any] = []
    async with Pipe(pushes_sent.append) as pipe:

        def make_callback(number: int) -> Any:
            def callback(reply: Any) -> None:
                match script[number].callback:
                    case "raises":
                        raise CallbackError
                    case "closes":
                        pipe.close()
                    case "sends" if not isinstance(reply, RedisUnavailable):
                        pipe.send(b"more-%d" % number)

            return callback

        for number in range(len(script)):
            pipe.send(b"%d" % number, make_callback(number))
        await pipe.turn()
        assert pipe.commands() == [b"%d" % number for number in range(len(script))]
        stream = b"".join(PUSH * each.pushes + encode(each.reply) for each in script[:answered])
        last, closes = ENDINGS[ending]
        stream += last
        cuts, position = [], 0
        for size in sizes * len(stream):
            if (position := position + size) >= len(stream):
                break
            cuts.append(position)
        await pipe.send_replies(stream, *cuts)
        if closes:
            await pipe.close_redis()
        closing = [n for n, each in enumerate(script[:answered]) if each.callback == "closes"]
        disconnects = bool(closing) or ending != "goes on"
        assert pipe.closed == disconnects
    assert pipe.closed == 1
    assert pipe.uncaught == []
    replies = closing[0] + 1 if closing else answered
    own = [(argument, reply) for argument, reply in pipe.received if argument.isdigit()]
    assert [argument for argument, _ in own] == [b"%d" % number for number in range(len(script))]
    for (_, reply), each in zip(own[:replies], script, strict=False):
        assert are_equal(reply, each.reply)
    assert all(isinstance(reply, RedisUnavailable) for _, reply in own[replies:])
    more = [argument for argument, _ in pipe.received if not argument.isdigit()]
    assert len(more) == len(set(more))
    assert all(each == [b"invalidate", [b"p:0"]] for each in pushes_sent)


@FUZZ_SETTINGS
@given(
    script=st.lists(commands, min_size=1, max_size=8),
    answered=st.integers(0, 8),
    ending=st.sampled_from(list(ENDINGS)),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
)
def test_every_command_gets_its_reply_or_an_error(
    script: list[Command], answered: int, ending: str, sizes: list[int]
):
    note(f"{script!r}, {answered}, {ending!r}, {sizes}")
    with structlog.testing.capture_logs() as logs:
        uvloop.run(run(script, min(answered, len(script)), ending, sizes))
    raised = any(each.callback == "raises" for each in script)
    assert raised == any(log["log_level"] == "error" for log in logs)
