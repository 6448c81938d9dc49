"""The body of an introspection request: a form with one token (RFC 7662), or JSON with many.

Pure functions: no clock, no I/O.
"""

from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from domain.model.errors import InvalidField
from domain.model.session_token import TOKEN_LENGTH

MAX_TOKENS = 1_000
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
_MAX_PARAMETERS = 16  # of a form
# What nearly all clients send after the token, in place of a parser that costs as much as the rest
# of a request: whether the profile is asked for.
_BEGIN, _END = 6, 6 + TOKEN_LENGTH
_UNRESERVED = (ascii_letters + digits + "-._~").encode()  # means itself in a form
_USUAL_ENDS = {
    b"": False,
    b"&token_type_hint=access_token": False,
    b"&claims=profile": True,
    b"&token_type_hint=access_token&claims=profile": True,
}


class InvalidBody(Exception):
    """`errors` has each wrong field."""

    def __init__(self, errors: Mapping[str, InvalidField]) -> None:
        super().__init__()
        self.errors = errors


class MalformedJSON(Exception):
    """The body is no JSON (RFC 8259)."""


class TokenList(NamedTuple):
    """Tokens, or any texts that were sent as such; `with_claims`: with the profiles."""

    tokens: list[str]
    with_claims: bool


def parse_form(body: bytes) -> tuple[str, bool]:
    """Returns the token of a form, and whether its claims are asked for. Raises `InvalidBody`.

    Unknown parameters are ignored, and none may be repeated (RFC 6749 section 3.1).
    """
    token, with_claims = body[_BEGIN:_END], _USUAL_ENDS.get(body[_END:])
    is_plain = token and not token.translate(None, _UNRESERVED)
    if is_plain and with_claims is not None and body.startswith(b"token="):
        return token.decode(), with_claims
    return _parse_any_form(body)


def _parse_any_form(body: bytes) -> tuple[str, bool]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:  # UnicodeDecodeError is one
        error = InvalidField(
            "malformed_form",
            "Send a form with at most {maximum} parameters.",
            maximum=_MAX_PARAMETERS,
        )
        raise InvalidBody({"body": error}) from None
    form = dict(pairs)
    errors = {}
    for name in {name for name, _ in pairs if [each for each, _ in pairs].count(name) > 1}:
        errors[name] = InvalidField("repeated", "Send this parameter once.")
    if not form.get("token"):
        errors.setdefault("token", InvalidField("required", "This field is required."))
    if form.get("claims", "profile") != "profile":
        errors.setdefault("claims", InvalidField("invalid", 'Send "profile", or leave it out.'))
    if errors:
        raise InvalidBody(errors)
    return form["token"], "claims" in form


def parse_json(body: bytes) -> TokenList:
    """Returns the tokens of a JSON body. Raises `InvalidBody` and `MalformedJSON`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedJSON from None
    if not isinstance(document, dict):
        raise InvalidBody({"body": InvalidField("not_an_object", "Send a JSON object.")})
    errors = {}
    tokens, with_claims = document.get("tokens"), document.get("claims", False)
    if error := _find_error(document, tokens):
        errors["tokens"] = error
    if not isinstance(with_claims, bool):
        errors["claims"] = InvalidField("not_a_boolean", "Send true or false.")
    for name in document.keys() - {"tokens", "claims"}:
        errors[name] = InvalidField("unknown_field", "Unknown field.")
    if errors:
        raise InvalidBody(errors)
    return TokenList(document["tokens"], with_claims)


def _find_error(document: dict[str, Any], tokens: Any) -> InvalidField | None:
    if "tokens" not in document:
        return InvalidField("required", "This field is required.")
    if not isinstance(tokens, list) or not all(type(token) is str for token in tokens):
        return InvalidField("not_a_list", "Send a list of strings.")
    if not tokens:
        return InvalidField("blank", "Send at least one token.")
    if len(tokens) > MAX_TOKENS:
        return InvalidField("too_many", "Send at most {maximum} tokens.", maximum=MAX_TOKENS)
    if len(set(tokens)) < len(tokens):
        return InvalidField("repeated", "Send each token once.")
    return None
