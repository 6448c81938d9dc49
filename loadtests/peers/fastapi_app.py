"""FastAPI and redis.asyncio, for uvicorn: the environment has REDIS_URL and SECRET_KEY."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis

from api.bearer import bearer_token
from domain import profile
from domain.model import session_token
from domain.model.errors import InvalidToken, ServiceUnavailable
from domain.model.keyring import Keyring
from loadtests.peers import responses

keys = Keyring([os.environ["SECRET_KEY"]])
redis: Any = Redis.from_url(os.environ["REDIS_URL"])


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await redis.aclose()


app = FastAPI(lifespan=_lifespan)


@app.get("/api/v1/profile/")
async def read(request: Request) -> Response:
    """Returns the bearer's own profile."""
    get_header = request.headers.get
    request_id = get_header("x-request-id", "")
    try:
        token = session_token.verify_token(keys, bearer_token(get_header("authorization", "")))
        reply = await redis.hmget(profile.redis_key(token.person_id), profile.hmget_fields(token))
        body, tag, _ = profile.decode_reply(token, reply, time.time())
    except (InvalidToken, profile.CacheMiss) as error:
        known = error if isinstance(error, InvalidToken) else ServiceUnavailable()
        status, headers, content = responses.error_response(known, request_id)
        return Response(content, status, headers | responses.SECURITY_HEADERS)
    etag = tag.decode()
    headers = responses.profile_headers(etag, request_id) | responses.SECURITY_HEADERS
    if responses.matches(get_header("if-none-match", ""), etag):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")
