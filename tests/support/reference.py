"""Detects stalls of the machine: reads of a process without attackers are slow."""

import http.client
import threading
import time
from contextlib import suppress
from typing import Self

from local.tcp_ports import HOST

_INTERVAL = 0.1  # seconds between two reads
_SLOW = 0.3  # seconds from the due time; such a read takes a millisecond
_TIMEOUT = 60.0  # seconds


class Reference:
    """Reads a profile from 127.0.0.1:`port` continuously, in a thread."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._stalled_at = 0.0
        self._reads = 0
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(_TIMEOUT)

    def stalled_since(self, moment: float) -> bool:
        """Returns whether a read after `moment` (`time.monotonic`) was slow or failed, the current
        one included.
        """
        with self._changed:
            end = self._reads + 2
            self._changed.wait_for(lambda: self._reads >= end, _TIMEOUT)
            return self._stalled_at >= moment

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(_INTERVAL):
            due, succeeded = due + _INTERVAL, False
            with suppress(OSError, http.client.HTTPException):
                succeeded = self._read()
            now = time.monotonic()
            with self._changed:
                self._reads += 1
                if not succeeded or now - due > _SLOW:
                    self._stalled_at = now
                self._changed.notify_all()
            due = now

    def _read(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", "/api/v1/profile/", headers=self._headers)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
