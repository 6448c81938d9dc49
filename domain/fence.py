"""Decides whether the data in the profile Redis may be trusted.

A Redis that was started from a snapshot, or a replica that took over, may have older data: sessions
that were revoked since, people who were deleted. It is not the fenced one, so readers do not trust
it until a relay has marked what has changed since.

    key             profile:fence; profile:fence:{tag} of a primary of a Redis Cluster
    run_id          the run id (INFO, section "server") of the server whose data are complete
    replid          its replication id (INFO, section "replication")
    complete_until  when they were last complete: a snapshot with this has all earlier writes
    since           when this field was first stored: of what was written later, a flush has lost
                    nothing
    generation      raised each time that the fence is advanced
    rebuild_after   while the relay writes all profiles again: the last id that it has written

A process has one run id. A primary that is demoted and promoted again keeps it, and may not have
synchronized with the one in between; but with each promotion it gets a new replication id. (So it
does when its last replica has been away for an hour, or its first one comes: it is fenced again.)

A primary that was cut off while another one served may get its clients back without having been
demoted: all ids are the same, but its generation is lower than one that was seen before.

A server without that key is empty, and has no older data. One that denies INFO to this user is not
trusted at all: its role and its run id are unknown.
"""

import re
from collections.abc import Sequence

RUN_ID, REPLICATION_ID = "run_id", "replid"
COMPLETE_UNTIL, SINCE, REBUILD_AFTER = "complete_until", "since", "rebuild_after"
GENERATION = "generation"
_RUN_ID_PATTERN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_REPLICATION_ID_PATTERN = re.compile(rb"^master_replid:(\w+)", re.MULTILINE)
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
    sections = ("INFO", "server"), ("INFO", "replication")
    fields = (RUN_ID, REPLICATION_ID, GENERATION)
    return *sections, *(("HGET", key, field) for field in fields)


def parse_identity(server: bytes, replication: bytes) -> bytes:
    """Returns the run id and the replication id in the replies to INFO, empty where there is none.

    While they are the same, no data of a primary have become older.
    """
    patterns = (_RUN_ID_PATTERN, server), (_REPLICATION_ID_PATTERN, replication)
    return b":".join(match[1] if (match := p.search(info)) else b"" for p, info in patterns)


def is_primary(replication: bytes) -> bool:
    """Returns whether a server is a primary, from the reply to INFO, section "replication"."""
    return b"role:master" in replication


def is_trusted(replies: Sequence[bytes | None]) -> bool:
    """Returns whether a server is the fenced one, or has no fence at all, by these replies to
    `fence_commands`.

    A server that reports no run id cannot be distinguished from another, and is trusted. A fence
    from before there were replication ids has none.
    """
    server, replication, *fenced, _ = replies
    patterns = (_RUN_ID_PATTERN, server), (_REPLICATION_ID_PATTERN, replication)
    actual = (pattern.search(info or b"") for pattern, info in patterns)
    return all(
        match is None or fenced_id in (None, match[1])
        for match, fenced_id in zip(actual, fenced, strict=True)
    )


def parse_generation(replies: Sequence[bytes | None]) -> int | None:
    """Returns the generation in the replies to `fence_commands`; None if there is no fence."""
    *_, run_id, _, generation = replies
    return None if run_id is None else int(generation or 0)


def denied_command(error: Exception) -> str | None:
    """Returns the command that this user may not run (ACL), if that is what Redis' error says."""
    match = _DENIED_PATTERN.search(str(error))
    return match[1] if match else None
