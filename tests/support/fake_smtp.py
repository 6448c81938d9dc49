"""A fake SMTP server with TLS: real connections, scripted replies.

with FakeSmtp(replies={"RCPT": "550 no such user"}) as server:
    ...  # SMTP_HOST=localhost, SMTP_PORT=server.port
    server.mails
"""

import email.policy
import socket
import socketserver
import ssl
import tempfile
import threading
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, Self

import trustme

_REPLIES = {
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "AUTH": "235 welcome",
    "QUIT": "221 bye",
    ".": "250 queued",
}
HANG, DROP = "hang", "drop"  # in place of a reply


class FakeSmtp:
    """The server. `replies` replace those to a command, or to the end ('.') of a mail; `extensions`
    are those that it offers; `tls`: from the first byte.
    """

    def __init__(
        self,
        replies: dict[str, str] | None = None,
        extensions: tuple[str, ...] = ("STARTTLS", "AUTH PLAIN", "SMTPUTF8", "8BITMIME"),
        *,
        tls: bool = False,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.commands: list[str] = []
        self.replies = _REPLIES | (replies or {})
        self.extensions = extensions
        self.released = threading.Event()
        authority = trustme.CA()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self.tls_context)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake, self._server.is_tls = self, tls
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._folder.cleanup()


class _Server(socketserver.ThreadingTCPServer):
    fake: FakeSmtp
    is_tls: bool


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(10)
        if self.server.is_tls:
            self._start_tls()
        self._open()

    def handle(self) -> None:
        fake = self.server.fake
        self._reply("220 fake")
        while line := self._stream.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            fake.commands.append(verb)
            if verb == "EHLO":
                offered = [each for each in fake.extensions if not self._is_tls_extension(each)]
                for each in ("fake", *offered):
                    self._reply(f"250-{each}")
                self._reply("250 HELP")
            elif verb == "STARTTLS":
                self._reply("220 go on")
                self._start_tls()
                self._open()
            elif self._follow_script(fake.replies[verb]):
                return
            elif verb == "DATA" and fake.replies[verb].startswith("354"):
                mail = b"".join(iter(self._stream.readline, b".\r\n"))
                fake.mails.append(
                    BytesParser(EmailMessage, policy=email.policy.SMTPUTF8).parsebytes(mail)
                )
                if self._follow_script(fake.replies["."]):
                    return

    def _is_tls_extension(self, name: str) -> bool:
        return name == "STARTTLS" and isinstance(self.request, ssl.SSLSocket)

    def _follow_script(self, reply: str) -> bool:
        """Sends a reply; returns whether the connection ends with it."""
        if reply == HANG:
            self.server.fake.released.wait(20)
        elif reply != DROP:
            self._reply(reply)
            return reply.startswith("221")
        return True

    def _reply(self, line: str) -> None:
        self.request.sendall(f"{line}\r\n".encode())

    def _start_tls(self) -> None:
        self.request = self.server.fake.tls_context.wrap_socket(self.request, server_side=True)

    def _open(self) -> None:
        self._stream: Any = self.request.makefile("rb")

    def finish(self) -> None:
        self._stream.close()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()


def closed_port() -> int:
    """Returns a port on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
