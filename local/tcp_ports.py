"""TCP ports of this machine."""

import random
import socket
import sys
from collections import deque
from contextlib import suppress

HOST = "127.0.0.1"
# Below the kernel's ephemeral ports: a client that reconnects while the server is down could be
# assigned the server's port, connect to itself, and keep the server from binding it again.
_PORT_RANGE = range(10_000, 32_000)
_MAX_RESERVATIONS = 64  # by then a server listens on the port
_reservations: deque[socket.socket] = deque()


def check_port(port: int) -> None:
    """Raises `OSError` if a server could not listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        # As servers do: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


def find_free_port() -> int:
    """Returns a free port outside the ephemeral range, which no other caller gets before a server
    can listen on it. Raises `OSError` if there is none.
    """
    for port in random.sample(_PORT_RANGE, 100):
        with suppress(OSError):
            check_port(port)
            _reserve(port)
            return port
    raise OSError("100 ports were tried, and none is free")


def _reserve(port: int) -> None:
    """Keeps others from choosing a port before a server listens on it, by an abstract unix socket
    (unix(7), Linux only). Raises `OSError` if another process has it.
    """
    if sys.platform == "linux":
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0rollcall-port-{port}")
        except OSError:
            reservation.close()
            raise
        _reservations.append(reservation)
        if len(_reservations) > _MAX_RESERVATIONS:
            _reservations.popleft().close()
