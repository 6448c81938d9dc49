# Generated from async_connection.py by `make clients`: do not edit.
"""The synchronous connection to the service."""

from time import monotonic, sleep
from typing import Any, Self

import httpx

from rollcall_client import operations
from rollcall_client.errors import NoResponse, RollcallError, error_from_response, parse
from rollcall_client.operation import Operation, encode
from rollcall_client.problems import InvalidToken, NotFound
from rollcall_client.retry import Retry

_HEADERS = {"User-Agent": f"rollcall-client/{operations.VERSION}"}


class Connection:
    """What the clients share. `http` replaces the HTTP client that it makes, and stays open."""

    def __init__(
        self, base_url: str, timeout: float, retry: Retry, http: httpx.Client | None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._retry = retry
        self._http = http or httpx.Client()
        self._owns_http = http is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        if self._owns_http:
            self._http.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    def _call[B, R](
        self,
        operation: Operation[B, R],
        body: B,
        headers: dict[str, str] | None = None,
        *,
        repeat: bool = False,
    ) -> R:
        response = self._send(operation, body, headers, repeat=repeat)
        return parse(operation.result, response.content)

    def _send(
        self,
        operation: Operation[Any, Any],
        body: Any,
        headers: dict[str, str] | None = None,
        *,
        repeat: bool = False,
    ) -> httpx.Response:
        """Sends a request, again if that is safe (`repeat`) and within the bounds; returns the
        successful response. Raises the `RollcallError` of the last one.
        """
        started, attempt = monotonic(), 0
        while True:
            attempt += 1
            try:
                return self._send_once(operation, body, headers or {})
            except (InvalidToken, NotFound):
                if operation.method != "DELETE" or attempt == 1:
                    raise
                return httpx.Response(httpx.codes.NO_CONTENT)  # the first request has ended it
            except RollcallError as error:
                delay = self._retry.delay(attempt, monotonic() - started, error)
                if not repeat or delay is None:
                    raise
            sleep(delay)

    def _send_once(
        self, operation: Operation[Any, Any], body: Any, headers: dict[str, str]
    ) -> httpx.Response:
        content: dict[str, Any] = {} if body is None else {operation.encoding: encode(body)}
        try:
            response = self._http.request(
                operation.method,
                self._base_url + operation.path,
                headers=_HEADERS | headers,
                timeout=self._timeout,
                follow_redirects=False,
                **content,
            )
        except httpx.RequestError as error:
            raise NoResponse(f"No response: {type(error).__name__}.") from error
        if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
            return response
        raise error_from_response(response)
