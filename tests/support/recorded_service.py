"""A service whose writes are recorded, to see that a rejected request writes nothing."""

import http.client
import json
import socket
from typing import NamedTuple

import httpx

from local.tcp_ports import HOST
from tests.support.client import ApiClient
from tests.support.generated_requests import Credentials, GeneratedRequest
from tests.support.webhook_signatures import sign_sendgrid, sign_vonage
from tests.support.write_recorder import WriteRecorder

# What a rejected request may write, by the code of its problem.
ATTEMPTS = {"rollcall_confirmation", "rollcall_signinchallenge", "rollcall_ratelimitwindow"}
ALLOWED = {
    # An attempt at a code is committed before the comparison (NIST SP 800-63B-4 section 3.2.2).
    "code_invalid": ATTEMPTS,
    "code_expired": ATTEMPTS,
    "too_many_attempts": ATTEMPTS,
    # A repeated revocation completes the first one in Redis, of which it rewrites the hash.
    "invalid_token": {"redis"},
    "not_found": {"redis"},
}


class Answer(NamedTuple):
    status: int
    media_type: str | None
    body: bytes


class RecordedService:
    """A read process before a write process whose writes are recorded, and its clients.

    `staff_session` is the session of a user of the admin, `backend_key` that of a backend.
    """

    def __init__(
        self, url: str, recorder: WriteRecorder, staff_session: str, backend_key: str
    ) -> None:
        self.url, self._port, self._recorder = url, int(url.rpartition(":")[2]), recorder
        self._staff_session = staff_session
        self._backend_key = backend_key
        self.http = httpx.Client(base_url=url, timeout=20)
        self._socket: socket.socket | None = None
        self._tokens: dict[Credentials, str] = {}
        self.renew()

    def renew(self) -> None:
        """Signs new people up, of whom one ends their session."""
        self.disconnect()
        live, ended = ApiClient(self.http).sign_up(), ApiClient(self.http).sign_up()
        assert ended.request("DELETE", "sessions/current/").status_code == 204
        forged = live.token[:-1] + ("A" if live.token[-1] != "A" else "B")
        self._tokens = {
            Credentials.LIVE: live.token,
            Credentials.ENDED: ended.token,
            Credentials.FORGED: forged,
        }
        assert self._recorder.take() >= {"rollcall_person", "rollcall_session", "redis"}

    def bearer(self, credentials: Credentials, path: str = "") -> dict[str, str]:
        """Returns the header with a person's token, or on a path of backends a backend's key; none
        for those of no person.
        """
        token = self._tokens.get(credentials)
        if path.startswith("/api/v1/introspect") and credentials is Credentials.LIVE:
            token = self._backend_key
        return {"Authorization": f"Bearer {token}"} if token else {}

    def assert_rules(self, method: str, status: int, body: bytes) -> None:
        """Checks the last response: no 500; if it is a 4xx, a problem document, and nothing was
        written.
        """
        written = self._recorder.take()
        answer = f"{method}: {status} {body!r}, written: {written}"
        assert status < 500, answer
        if status < 400:
            return
        if method == "HEAD":
            assert written <= set().union(*ALLOWED.values()), answer
            return
        problem = json.loads(body)
        assert problem["status"] == status, answer
        assert written <= ALLOWED.get(problem["code"], set()), answer
        if problem["code"] == "validation_failed":
            assert problem["errors"]
            assert all({"field", "code", "message"} == error.keys() for error in problem["errors"])

    def send(self, request: GeneratedRequest) -> Answer:
        """Sends a request as it is, on a connection that is kept as long as possible."""
        self._socket = self._socket or socket.create_connection((HOST, self._port), timeout=20)
        self._socket.sendall(self._encode(request))
        response = http.client.HTTPResponse(self._socket, method=request.method)
        response.begin()
        answer = Answer(response.status, response.headers["content-type"], response.read())
        if response.will_close:
            self.disconnect()
        return answer

    def disconnect(self) -> None:
        """Closes the connection, of which a failed test may have read only a part."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def _encode(self, request: GeneratedRequest) -> bytes:
        headers = list(request.headers)
        if not any(name.lower() == b"host" for name, _ in headers):
            headers.append((b"Host", f"{HOST}:{self._port}".encode()))
        if request.body is not None:
            headers.append((b"Content-Length", str(len(request.body)).encode()))
        headers += [(name.encode(), value.encode()) for name, value in self._sign(request).items()]
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.target)]
        lines += [b"%b: %b" % header for header in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (request.body or b"")

    def _sign(self, request: GeneratedRequest) -> dict[str, str]:
        """Returns the headers that show who sends it: a person, a provider, or one of the staff."""
        is_live = request.credentials is Credentials.LIVE
        if is_live and request.target.startswith(b"/webhooks/"):
            sign = sign_sendgrid if b"sendgrid" in request.target else sign_vonage
            fields = sign(request.body or b"")
            return {name: value for name, value in fields.items() if name != "Content-Type"}
        if is_live and request.target.startswith(b"/admin/"):
            return {"Cookie": f"sessionid={self._staff_session}"}
        return self.bearer(request.credentials, request.target.decode("latin-1"))
