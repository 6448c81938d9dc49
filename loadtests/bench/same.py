"""Whether all who are compared do the same work: the same answers to the same requests."""

from typing import Any

import httpx
from redis import Redis

from domain import profile, session
from domain.keys import KeyRing
from loadtests.bench.people import Crowd, somebody, write
from loadtests.bench.servers import PATH, Server
from local.machine import HOST
from local.processes import LocalError

# Those by which servers speak of themselves and of the connection.
_OWN = {"server", "date", "connection", "keep-alive", "allow"}
_REQUEST_ID = "the-same-for-all"


def check(servers: list[Server]) -> None:
    """Return if each server answers each request as the first one does.

    All must be there for the same people. Raises LocalError that names server and request.
    """
    requests = _requests(servers[0].crowd)
    wanted = {what: _answer(servers[0], headers) for what, headers in requests.items()}
    statuses = [answer["status"] for answer in wanted.values()]
    if statuses != [200, 304, 401, 401, 401, 401, 401]:
        raise LocalError(f"{servers[0].title} answers {statuses}")
    for server in servers[1:]:
        for what, headers in requests.items():
            if (found := _answer(server, headers)) != wanted[what]:
                raise LocalError(
                    f"{what}: {server.title} answers {found},\n"
                    f"and {servers[0].title} {wanted[what]}"
                )


def _requests(crowd: Crowd) -> dict[str, dict[str, str]]:
    """What is asked, by what it is about. Writes a few more people into the crowd's Redis."""
    keys = KeyRing([crowd.secret])
    right, right_token = somebody(keys, 1)
    fields = profile.hash_of(right)
    out_of_date, old_token = somebody(keys, 2)
    gone, gone_token = somebody(keys, 3)
    hashes = [
        (profile.key_of(right.id), fields),
        (
            profile.key_of(out_of_date.id),
            profile.hash_of(out_of_date) | {out_of_date.sessions[0].digest: b"1"},
        ),
        (
            profile.key_of(gone.id),
            {profile.BODY: b"", profile.ETAG: b"", profile.VERSION: b"2"},
        ),
    ]
    with Redis.from_url(crowd.redis.url, socket_timeout=10) as redis:
        write(redis, hashes)
    etag = fields[profile.ETAG].decode()
    return {
        "a right token": _bearer(right_token),
        "an ETag that is known": _bearer(right_token) | {"If-None-Match": f'"x", {etag}'},
        "no token": {},
        "a forged token": _bearer(session.issue(KeyRing(["forged"]), right.id, 1)[0]),
        "a session that has ended": _bearer(session.issue(keys, right.id, 1)[0]),
        "a session that is out of date": _bearer(old_token),
        "somebody who is gone": _bearer(gone_token),
    }


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _answer(server: Server, headers: dict[str, str]) -> dict[str, Any]:
    answer = httpx.get(
        f"http://{HOST}:{server.port}{PATH}",
        headers={**headers, "X-Request-ID": _REQUEST_ID},
        timeout=10,
    )
    own = _OWN | ({"content-length"} if answer.status_code == httpx.codes.NOT_MODIFIED else set())
    found = {k: v for k, v in sorted(answer.headers.items()) if k not in own}
    # What JSON is written in need not be said (RFC 8259 section 11); Fastify says it.
    if kind := found.get("content-type"):
        found["content-type"] = kind.removesuffix("; charset=utf-8")
    return {"status": answer.status_code, "body": answer.content, "headers": found}
