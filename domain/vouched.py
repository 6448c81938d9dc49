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

KEY, RUN, AT = "vouched", "run", "at"
# To be sent together, on one connection: so both replies are of one run.
QUESTION = (("INFO", "server"), ("HGET", KEY, RUN))
_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


def run_of(info: bytes) -> bytes:
    """The run id that the reply to INFO tells; empty if it tells none."""
    found = _RUN_ID.search(info)
    return found[1] if found else b""


def may_be_believed(run: bytes, vouched_for: bytes | None) -> bool:
    """Whether a server with that run id has nothing old, and `run` of the key is `vouched_for`.

    One that tells no run id cannot be told from another, and is believed.
    """
    return not run or vouched_for in (None, run)
