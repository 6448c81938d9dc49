"""Checks that all servers that are compared do the same work: equal responses to equal requests."""

from typing import Any

import httpx
from redis import Redis

from domain import profile
from domain.model import session_token
from domain.model.keyring import Keyring
from loadtests.bench.people import Dataset, write
from loadtests.bench.servers import PATH, Server
from loadtests.seeding import make_person
from local.processes import StackError
from local.tcp_ports import HOST

# Headers about the server itself and the connection.
_IGNORED_HEADERS = {"server", "date", "connection", "keep-alive", "allow"}
# Of errors: only Rollcall has their texts in several languages.
_IGNORED_IN_ERRORS = {"content-language", "vary"}
_REQUEST_ID = "the-same-for-all"


def check(servers: list[Server]) -> None:
    """Returns if each server responds to each request as the first one does.

    All must have the same people. Raises `StackError` that names server and request.
    """
    for case, (status, headers) in _requests(servers[0].dataset).items():
        expected = _response(servers[0], headers)
        if expected["status"] != status:
            raise StackError(f"{case}: {servers[0].title} answers {expected}, not {status}")
        for server in servers[1:]:
            if (response := _response(server, headers)) != expected:
                raise StackError(
                    f"{case}: {server.title} answers {response},\nand {servers[0].title} {expected}"
                )


def _requests(dataset: Dataset) -> dict[str, tuple[int, dict[str, str]]]:
    """Returns the expected status and the headers of each request by description.

    Writes a few more people to the dataset's Redis.
    """
    keys = Keyring([dataset.secret])
    person, token = make_person(keys, 1)
    expired, expired_token = make_person(keys, 2)
    deleted, deleted_token = make_person(keys, 3)
    fields = profile.to_hash(person)
    tombstone = {profile.BODY: b"", profile.ETAG: b"", profile.VERSION: b"2"}
    expired_session = {expired.sessions[0].digest: b"1"}
    hashes = [
        (profile.redis_key(person.id), fields),
        (profile.redis_key(expired.id), profile.to_hash(expired) | expired_session),
        (profile.redis_key(deleted.id), tombstone),
    ]
    with Redis.from_url(dataset.redis.url, socket_timeout=10) as redis:
        write(redis, hashes)
    etag, bearer = fields[profile.ETAG].decode(), _bearer(token)
    return {
        "a valid token": (200, bearer),
        "an ETag that is not the current one": (200, bearer | {"If-None-Match": '"x", W/"y"'}),
        "a list with the current ETag": (304, bearer | {"If-None-Match": f'"x", {etag}'}),
        "the current ETag, weak": (304, bearer | {"If-None-Match": f"W/{etag}"}),
        "any ETag": (304, bearer | {"If-None-Match": "*"}),
        "no token": (401, {}),
        "a token with another MAC": (
            401,
            _bearer(session_token.issue_token(Keyring(["forged"]), person.id, 1)[0]),
        ),
        "a token that is cut off": (401, _bearer(token[:-4])),
        "a revoked session": (401, _bearer(session_token.issue_token(keys, person.id, 1)[0])),
        "an expired session": (401, _bearer(expired_token)),
        "a deleted person": (401, _bearer(deleted_token)),
        "a profile that Redis lacks": (503, _bearer(make_person(keys, 4)[1])),
        "a profile older than the token": (
            503,
            _bearer(session_token.issue_token(keys, person.id, 2)[0]),
        ),
    }


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _response(server: Server, headers: dict[str, str]) -> dict[str, Any]:
    response = httpx.get(
        f"http://{HOST}:{server.port}{PATH}",
        headers={**headers, "X-Request-ID": _REQUEST_ID},
        timeout=10,
    )
    not_modified = response.status_code == httpx.codes.NOT_MODIFIED
    ignored = _IGNORED_HEADERS | ({"content-length"} if not_modified else set())
    if response.is_error:
        ignored = ignored | _IGNORED_IN_ERRORS
    compared = {name: value for name, value in response.headers.items() if name not in ignored}
    # JSON is UTF-8 by definition (RFC 8259 section 11); Fastify declares it.
    if kind := compared.get("content-type"):
        compared["content-type"] = kind.removesuffix("; charset=utf-8")
    return {"status": response.status_code, "body": response.content, "headers": compared}
