"""Whether what stands in the profile Redis may be believed.

A Redis that was started from a snapshot, or a replica that took over, may have older data: sessions
that have ended since, people who have left. Its run id is not that of the server that was vouched
for, so readers know, and wait until a relay has rewritten what changed meanwhile.

    key   vouched
    run   the run id (INFO, section "server") of the server whose data are complete
    at    when they were, last: what had been written by then is in every snapshot that has this

A server without that key is empty, and has nothing that could be old.
"""

import re

FENCE_KEY, RUN_ID, COMPLETE_UNTIL = "profile:fence", "run_id", "complete_until"
# To be sent together, on one connection: so both replies are of one run.
FENCE_COMMANDS = (("INFO", "server"), ("HGET", FENCE_KEY, RUN_ID))
_RUN_ID_PATTERN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


def parse_run_id(info: bytes) -> bytes:
    """The run id that the reply to INFO tells; empty if it tells none."""
    match = _RUN_ID_PATTERN.search(info)
    return match[1] if match else b""


def is_trusted(run_id: bytes, fenced_run_id: bytes | None) -> bool:
    """Whether a server with that run id has nothing old, and `run` of the key is `vouched_for`.

    One that tells no run id cannot be told from another, and is believed.
    """
    return not run_id or fenced_run_id in (None, run_id)
