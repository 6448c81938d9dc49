"""The asynchronous client of backends; `make clients` makes the synchronous one of it."""

from dataclasses import replace
from itertools import batched

import httpx

from rollcall_client import models, operations
from rollcall_client.async_connection import AsyncConnection
from rollcall_client.retry import DEFAULT_RETRY, Retry

_ONE = replace(operations.INTROSPECT_TOKEN, encoding="data", result=models.TokenState)
_MANY = replace(operations.INTROSPECT_TOKEN, result=models.TokenResults)
_MAX_TOKENS = 1000  # of one request


class AsyncBackend(AsyncConnection):
    """A client for the operator's own backends: whose session tokens are they? `key` is made by
    `manage.py backends make`. The other arguments are those of `AsyncRollcall`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str,
        timeout: float = 10.0,
        retry: Retry = DEFAULT_RETRY,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(base_url, timeout, retry, http)
        self._headers = {"Authorization": f"Bearer {key}"}

    async def introspect(self, token: str, *, claims: bool = False) -> models.TokenState:
        """Returns whether a token is `active`, and whose (`sub`); with `claims` their profile."""
        body = models.IntrospectionFormRequest(token=token, claims="profile" if claims else None)
        state: models.TokenState = await self._call(_ONE, body, self._headers, repeat=True)
        return state

    async def introspect_many(
        self, tokens: list[str], *, claims: bool = False
    ) -> list[models.TokenResult]:
        """Returns the states of tokens, in their order. One that has an `error` has to be asked
        for again.
        """
        found: dict[str, models.TokenResult] = {}
        for batch in batched(dict.fromkeys(tokens), _MAX_TOKENS):
            body = models.IntrospectionListRequest(tokens=list(batch), claims=claims)
            states: models.TokenResults = await self._call(_MANY, body, self._headers, repeat=True)
            found |= zip(batch, states.results, strict=True)
        return [found[token] for token in tokens]
