"""A FastAPI dependency: `CurrentPerson` is the person who sent the request, as Rollcall says.

    @app.get("/hello/")
    async def hello(person: CurrentPerson) -> ...

Environment: ROLLCALL_URL, and ROLLCALL_BACKEND_KEY from `manage.py backends make NAME`.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request

CACHE_SECONDS = 1.0  # for which an ended session is still accepted; 0: each request asks
CACHE_SIZE = 10_000  # tokens
TIMEOUT = 1.0  # seconds


class Rollcall:
    """A client that keeps its connections open."""

    def __init__(self) -> None:
        key = f"Bearer {os.environ['ROLLCALL_BACKEND_KEY']}"
        self.http = httpx.AsyncClient(
            base_url=os.environ["ROLLCALL_URL"], headers={"Authorization": key}, timeout=TIMEOUT
        )
        self._cache: dict[bytes, tuple[float, dict[str, Any]]] = {}

    async def find_person(self, token: str) -> dict[str, Any] | None:
        """Returns `sub` (the id), `exp` and `claims`; None if the token is not active.

        Raises `HTTPException` with 503 if Rollcall does not say; the client may try again.
        """
        digest, now = sha256(token.encode()).digest(), time.time()
        until, person = self._cache.get(digest, (0.0, {}))
        if now < until:
            return person
        form = {"token": token or "none", "claims": "profile"}
        try:
            response = await self.http.post("/api/v1/introspect/", data=form)
            response.raise_for_status()  # a 401 is about our own key, and no fault of the client
        except httpx.HTTPError:
            raise HTTPException(503, "unavailable", {"Retry-After": "1"}) from None
        person = response.json()
        if not person["active"]:
            return None
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[digest] = min(now + CACHE_SECONDS, person["exp"]), person
        return person


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """To be passed to `FastAPI(lifespan=…)`."""
    app.state.rollcall = Rollcall()
    async with app.state.rollcall.http:
        yield


async def current_person(request: Request) -> dict[str, Any]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    is_bearer = scheme.lower() == "bearer"
    person = await request.app.state.rollcall.find_person(token.strip()) if is_bearer else None
    if person is None:
        raise HTTPException(401, "invalid_token", {"WWW-Authenticate": "Bearer"})
    return person


CurrentPerson = Annotated[dict[str, Any], Depends(current_person)]
