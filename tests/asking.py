"""Requests of the web server's kind, for tests that ask what stands behind it."""

import asyncio
from typing import NamedTuple

from api.reads.app import Reads
from api.server.request import Request


class Answer(NamedTuple):
    """An answer, its headers by name."""

    status: int
    headers: dict[str, str]
    body: bytes


class Asked:
    """The connection of one request: what is answered on it is its `reply`."""

    client, server = "127.0.0.1", ("127.0.0.1", 80)

    def __init__(self) -> None:
        self.reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.told: list[str] = []

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        pairs = (line.split(": ", 1) for line in head.decode().splitlines())
        self.reply.set_result(Answer(status, dict(pairs), body))

    def ask_for_body(self) -> None:
        self.told.append("go on")

    def hold(self, yes: bool) -> None:
        self.told.append("wait" if yes else "go on")


def post(*parts: bytes, ends: bool = True, way: Asked | None = None, **headers: str) -> Request:
    """A request whose body has come in these parts, and ends with them or does not."""
    way = way or Asked()
    request = Request(way, "POST", b"/%C3%A4?a=1", {"transfer-encoding": "chunked", **headers})
    for part in parts:
        request.came(part)
    if ends:
        request.ended()
    return request


async def read(reads: Reads, token: str, method: str = "GET") -> Answer:
    """The reader's answer to whoever has that token."""
    asked = Asked()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    reads.read(Request(asked, method, b"/api/v1/profile/", headers), b"")
    return await asked.reply
