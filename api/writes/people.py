"""Sign-up, and what people do to their own profile. It is read elsewhere: see `api.reads`."""

import re
from datetime import UTC, datetime
from functools import cache

import structlog
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from api.writes.base import WriteView, after_commit, caller_of, revoke, session_document
from api.writes.json import json_response, no_content
from api.writes.openapi import people as told
from api.writes.serializers import SignUpBody, UpdateBody
from domain import profile
from domain.commands import people
from domain.commands.people import SignUp, SignUpResult, UpdateProfile
from domain.errors import ServiceUnavailable
from domain.stores import keys
from domain.stores.unit_of_work import autocommit_unit_of_work, unit_of_work

log = structlog.get_logger(__name__)

_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_STRONG_ETAG = re.compile(r'(?<!W/)"[^"]*"')


class SignUpView(WriteView):
    """Sign-up."""

    @told.sign_up
    def post(self, request: Request) -> HttpResponse:
        body = SignUpBody.read(request.data)
        signed_up = _sign_up(SignUp(**body), _idempotency_key(request))
        after_commit(signed_up.result, is_new=not signed_up.replayed)
        person = signed_up.result.person
        answer = {
            "id": str(person.id),
            "profile": profile.to_public_dict(person),
            "session": session_document(signed_up.token, signed_up.expires_at),
        }
        headers = {"Location": "/api/v1/profile/"}
        if signed_up.replayed:
            headers["Idempotency-Replayed"] = "true"
        return json_response(answer, status=201, headers=headers)


@cache
def _log_misrouted_read() -> None:
    """Logs once a process: whoever misroutes one read misroutes them all."""
    log.error("profile_read_misrouted")


def _sign_up(command: SignUp, key: str | None) -> SignUpResult:
    now, life = datetime.now(UTC), settings.SESSION_LIFETIME
    if key is None:
        return people.sign_up(command, autocommit_unit_of_work, keys.get_keyring(), now, life)
    return people.sign_up_idempotently(command, key, unit_of_work, keys.get_keyring(), now, life)


def _idempotency_key(request: Request) -> str | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _KEY.fullmatch(key):
        detail = ErrorDetail("Use 16 to 255 visible ASCII characters.", code="invalid")
        raise ValidationError({"Idempotency-Key": [detail]})
    return key


class ProfileView(WriteView):
    """The caller's profile: changing and deleting it."""

    @extend_schema(exclude=True)  # described where it is implemented, see api.schema
    def get(self, request: Request) -> HttpResponse:
        """Refuses a read, which the load balancer should have routed to the read process.

        It is not answered from Redis here: whether a profile there may be trusted (fencing, ended
        sessions) only the read process checks. As a 503 it is retried by clients and proxies, and
        seen by operators, whom a 404 or 405 would tell nothing.
        """
        _log_misrouted_read()
        raise ServiceUnavailable

    @told.update
    def patch(self, request: Request) -> HttpResponse:
        body = UpdateBody.read(request.data)
        command = UpdateProfile(caller_of(request), _if_match(request), **body)
        committed = people.update_profile(
            command, unit_of_work, keys.get_keyring(), datetime.now(UTC)
        )
        after_commit(committed)
        person = committed.person
        etag = profile.strong_etag(profile.render_body(person)).decode()
        return json_response(profile.to_public_dict(person), headers={"ETag": etag})

    @told.leave
    def delete(self, request: Request) -> HttpResponse:
        revoke(request, lambda token: people.delete_profile(token, unit_of_work, datetime.now(UTC)))
        return no_content()


def _if_match(request: Request) -> frozenset[bytes] | None:
    """The strong ETags of `If-Match` (RFC 9110 section 13.1.1); None for none, and for `*`."""
    value = request.META.get("HTTP_IF_MATCH")
    if value is None or value.strip() == "*":
        return None
    return frozenset(etag.encode() for etag in _STRONG_ETAG.findall(value))
