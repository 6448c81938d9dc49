"""The errors of the client: one base class, of which each code of the API has a class of its own
in `rollcall_client.problems`.
"""

import json
from typing import Any

import httpx

from rollcall_client.models import FieldError
from rollcall_client.operation import decode


class RollcallError(Exception):
    """An error with a stable `code`. One that this client does not know has this class.

    `status`: of the response, 0 without one; `request_id`: to quote to the operators;
    `retry_after`: seconds to wait, if the service says so; `errors`: every wrong field of a
    `ValidationFailed`.
    """

    code = "unknown"

    def __init__(
        self,
        detail: str,
        code: str | None = None,
        status: int = 0,
        request_id: str = "",
        retry_after: float | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail, code, status, request_id, retry_after, errors)  # for pickle
        self.detail = detail
        self.code = code or self.code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.errors = errors

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.detail} ({self.code}{request})"


class NoResponse(RollcallError):
    """The service could not be reached, or did not respond in time; whether it has carried out the
    request is unknown.
    """

    code = "no_response"


class UnexpectedResponse(RollcallError):
    """A response that is not Rollcall's, such as the page of a load balancer."""

    code = "unexpected_response"


def error_from_response(response: httpx.Response) -> RollcallError:
    """Returns the error that a response with a problem document stands for."""
    from rollcall_client.problems import BY_CODE  # its classes derive from one above

    status, retry_after = response.status_code, _retry_after(response)
    request_id = response.headers.get("x-request-id", "")
    try:
        document: dict[str, Any] = response.json()
        code, detail = str(document["code"]), str(document["detail"])
        errors = tuple(decode(list[FieldError], document.get("errors", [])))
    except (ValueError, TypeError, KeyError):
        detail = f"The response has the status {status}, and no problem document."
        return UnexpectedResponse(detail, None, status, request_id, retry_after)
    error_class = BY_CODE.get(code, RollcallError)
    return error_class(detail, code, status, request_id, retry_after, errors)


def parse[R](kind: type[R] | None, body: bytes) -> R:
    """Returns the body of a success as `kind` (None: there is none). Raises `UnexpectedResponse`
    if it is something else.
    """
    try:
        return decode(kind, json.loads(body) if kind else None)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnexpectedResponse(f"The response is not as documented: {error!r}") from None


def _retry_after(response: httpx.Response) -> float | None:
    """Returns the seconds of `Retry-After`; None for a date, which the service does not send."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() else None
