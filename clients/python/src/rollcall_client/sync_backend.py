# Generated from async_backend.py by `make clients`: do not edit.
"""The synchronous client of backends."""

from dataclasses import replace
from itertools import batched

import httpx

from rollcall_client import models, operations
from rollcall_client.retry import DEFAULT_RETRY, Retry
from rollcall_client.sync_connection import Connection

_ONE = replace(operations.INTROSPECT_TOKEN, encoding="data", result=models.TokenState)
_MANY = replace(operations.INTROSPECT_TOKEN, result=models.TokenResults)
_MAX_TOKENS = 1000  # of one request


class Backend(Connection):
    """A client for the operator's own backends: whose session tokens are they? `key` is made by
    `manage.py backends make`. The other arguments are those of `Rollcall`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str,
        timeout: float = 10.0,
        retry: Retry = DEFAULT_RETRY,
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(base_url, timeout, retry, http)
        self._headers = {"Authorization": f"Bearer {key}"}

    def introspect(self, token: str, *, claims: bool = False) -> models.TokenState:
        """Returns whether a token is `active`, and whose (`sub`); with `claims` their profile."""
        body = models.IntrospectionFormRequest(token=token, claims="profile" if claims else None)
        state: models.TokenState = self._call(_ONE, body, self._headers, repeat=True)
        return state

    def introspect_many(
        self, tokens: list[str], *, claims: bool = False
    ) -> list[models.TokenResult]:
        """Returns the states of tokens, in their order. One that has an `error` has to be asked
        for again.
        """
        found: dict[str, models.TokenResult] = {}
        for batch in batched(dict.fromkeys(tokens), _MAX_TOKENS):
            body = models.IntrospectionListRequest(tokens=list(batch), claims=claims)
            states: models.TokenResults = self._call(_MANY, body, self._headers, repeat=True)
            found |= zip(batch, states.results, strict=True)
        return [found[token] for token in tokens]
