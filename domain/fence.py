"""Decides whether the data in the profile Redis may be trusted.

A Redis that was started from a snapshot, or a replica that took over, may have older data: sessions
that were revoked since, people who were deleted. Its run id is not the fenced one, so readers do
not trust it until a relay has rewritten what has changed since.

    key             profile:fence; profile:fence:{tag} of a primary of a Redis Cluster
    run_id          the run id (INFO, section "server") of the server whose data are complete
    complete_until  when they were last complete: a snapshot with this has all earlier writes
    since           when this field was first stored: of what was written later, a flush has lost
                    nothing

A server without that key is empty, and has no older data. One that denies INFO to this user is not
trusted at all: its role and its run id are unknown.
"""

import re

RUN_ID, COMPLETE_UNTIL, SINCE = "run_id", "complete_until", "since"
_RUN_ID_PATTERN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_DENIED_PATTERN = re.compile(r"no permissions to run the '([\w|-]+)' command")


def fence_key(hash_tag: str = "") -> str:
    """Returns the key of a primary's fence. In a Redis Cluster its hash tag has a slot that this
    primary serves; else it is empty.
    """
    return f"profile:fence:{{{hash_tag}}}" if hash_tag else "profile:fence"


def fence_commands(key: str) -> tuple[tuple[str, ...], ...]:
    """Returns the commands that `is_trusted` needs the replies of, for the fence with that key.

    They are sent together on one connection, so that the replies come from one run.
    """
    return ("INFO", "server"), ("HGET", key, RUN_ID)


def parse_run_id(info: bytes) -> bytes:
    """Returns the run id in the reply to INFO; empty if there is none."""
    match = _RUN_ID_PATTERN.search(info)
    return match[1] if match else b""


def denied_command(error: Exception) -> str | None:
    """Returns the command that this user may not run (ACL), if that is what Redis' error says."""
    match = _DENIED_PATTERN.search(str(error))
    return match[1] if match else None


def is_trusted(run_id: bytes, fenced_run_id: bytes | None) -> bool:
    """Returns whether the server with that run id is the fenced one, or has no fence at all.

    A server that reports no run id cannot be distinguished from another, and is trusted.
    """
    return not run_id or fenced_run_id in (None, run_id)
