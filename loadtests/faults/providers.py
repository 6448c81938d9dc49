"""A stand-in for SendGrid and Vonage, which keeps what it has accepted and can fail or hang."""

import asyncio
import json
import re
import ssl
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import trustme

from local.tcp_ports import HOST

WORKS, FAILS, HANGS = "works", "fails", "hangs"
CONFIRMATION, SIGN_IN_CODE = "confirmation", "sign-in code"
_LATENCY = 0.05  # seconds: an entry's work takes a time in which its worker can be killed
_CODE = re.compile(r"\b(\d{6})\b")
_SIGN_IN = re.compile("sign in at|sign-in code")


class Received(NamedTuple):
    """A message that was accepted."""

    at: float
    to: str
    purpose: str
    code: str


class ProviderStandIn:
    """Both servers, on the running event loop. `mode` says what they do with a request."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self.mode = WORKS
        self.messages: defaultdict[str, list[Received]] = defaultdict(list)  # by address
        self._now = now
        self._ca_file = folder / "provider-ca.pem"
        self._arrived = asyncio.Condition()

    async def start(self) -> None:
        """Listens on two free ports."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(context)
        self._servers = [
            await asyncio.start_server(self._serve, HOST, 0),
            await asyncio.start_server(self._serve, HOST, 0, ssl=context),
        ]

    def settings(self) -> dict[str, str]:
        """Returns the environment of a service that sends messages here."""
        sendgrid, vonage = (server.sockets[0].getsockname()[1] for server in self._servers)
        return {
            "MESSAGE_BACKEND": "providers",
            "SENDGRID_HOST": f"http://{HOST}:{sendgrid}",
            "SENDGRID_API_KEY": "SG.faults",
            "EMAIL_FROM": "hello@rollcall.example",
            "VONAGE_HOST": f"{HOST}:{vonage}",
            "VONAGE_API_KEY": "key",
            "VONAGE_API_SECRET": "secret",
            "SMS_FROM": "Rollcall",
            "REQUESTS_CA_BUNDLE": str(self._ca_file),
        }

    async def wait_for(self, to: str, purpose: str, known: Collection[str] = ()) -> str:
        """Returns a code that an address has received, other than those known, once there is one.

        A message may arrive twice, also after a later one.
        """

        def find() -> str:
            codes = [each.code for each in self.messages[to] if each.purpose == purpose]
            return next((code for code in codes if code and code not in known), "")

        async with self._arrived:
            return await self._arrived.wait_for(find)

    def codes(self, to: str) -> set[str]:
        """Returns the codes that an address has received."""
        return {each.code for each in self.messages[to]}

    def close(self) -> None:
        """Stops listening."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):  # killed workers
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?i)\r\ncontent-length: *(\d+)", head)
            body = (await reader.readexactly(int(length[1]) if length else 0)).decode()
            await asyncio.sleep(_LATENCY)
            if self.mode == HANGS:
                await reader.read()  # until the worker gives up
            elif self.mode == FAILS:
                writer.write(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                writer.write(await self._accept("/sms/json" in head.split("\r\n", 1)[0], body))
            await writer.drain()

    async def _accept(self, is_sms: bool, body: str) -> bytes:
        """Keeps a message; returns the response."""
        if is_sms:
            form = dict(parse_qsl(body))
            to, text = f"+{form['to'].lstrip('+')}", form["text"]
            message = {"to": form["to"], "message-id": "m", "status": "0"}
            status, answer = "200 OK", json.dumps({"message-count": "1", "messages": [message]})
        else:
            mail = json.loads(body)
            to = mail["personalizations"][0]["to"][0]["email"]
            text = mail["content"][0]["value"]
            status, answer = "202 Accepted", ""
        found = _CODE.search(text)
        purpose = SIGN_IN_CODE if _SIGN_IN.search(text) else CONFIRMATION
        async with self._arrived:
            self.messages[to].append(Received(self._now(), to, purpose, found[1] if found else ""))
            self._arrived.notify_all()
        return (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Message-Id: m\r\n"
            f"Content-Length: {len(answer)}\r\nConnection: close\r\n\r\n{answer}"
        ).encode()
