"""The states of a client connection, and the deadline of each."""

import math
from enum import IntEnum
from typing import NamedTuple


class ConnectionState(IntEnum):
    """The state of a connection. Each has a deadline (`Timeouts`), and ends so when it has passed:

    IDLE       no byte of a request has arrived        closed
    HEAD       part of a header section has arrived    408
    BODY       the body of a request is being read     408
    ACTIVE     the application owes the response       aborted
    DRAINING   the client is slow to take a response   aborted
    LINGERING  the last response was sent              aborted
    CLOSED     the transport is gone

    In all of them, a client that has unsent bytes and takes none for `draining` seconds is aborted.

    IDLE -> HEAD -> BODY -> ACTIVE -> DRAINING -> IDLE, where each may be skipped; from each of them
    to LINGERING, and from everywhere to CLOSED. Bytes are parsed in IDLE, HEAD and BODY only.
    """

    IDLE = 0
    HEAD = 1
    BODY = 2
    ACTIVE = 3
    DRAINING = 4
    LINGERING = 5
    CLOSED = 6


class Timeouts(NamedTuple):
    """Seconds that a connection may stay in each state, in the order of `ConnectionState`."""

    idle: float = 75.0
    head: float = 10.0
    body: float = 10.0
    active: float = 60.0
    draining: float = 30.0
    lingering: float = 2.0
    closed: float = math.inf
