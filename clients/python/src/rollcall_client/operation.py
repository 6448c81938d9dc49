"""What is generated for each operation of the API, and the JSON of its bodies."""

import types
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from rollcall_client.secret import Secret


@dataclass(frozen=True)
class Operation[Body, Result]:
    """An operation with the classes of its request body and of its successful response.

    `encoding` names the argument of httpx that takes the body: `json`, or `data` for a form.
    """

    method: str
    path: str
    result: type[Result] | None
    encoding: str = "json"


def encode(body: Any) -> dict[str, Any]:
    """Returns the fields of a request body; what is None is left out."""
    return {name: value for name, value in vars(body).items() if value is not None}


def decode[T](kind: type[T] | None, value: Any) -> T:
    """Returns a JSON value as `kind`; fields that it does not have are ignored, because the
    service may be newer. Raises `TypeError` or `ValueError` if a field is missing or malformed.
    """
    result: T = _decode(kind, value)
    return result


def _decode(kind: Any, value: Any) -> Any:
    if value is None or kind is Any:
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _decode(hints[name], value[name]) for name in hints if name in value})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is Secret:
        return Secret(value)
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return [_decode(item, each) for each in value]
    if get_origin(kind) in (Union, types.UnionType):
        return _decode(get_args(kind)[0], value)  # the other one is None
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
