"""Sign-up, update and deletion of a profile. Reads are in `api.reads`."""

import re
from datetime import UTC, datetime
from functools import cache

import structlog
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from api.writes.base import (
    NoStoreAPIView,
    get_token_claims,
    project_and_enqueue,
    run_revocation,
    serialize_session,
)
from api.writes.json_parser import json_response, no_content
from api.writes.openapi import accounts as openapi
from api.writes.serializers import SignUpSerializer, UpdateProfileSerializer
from domain import profile
from domain.commands import accounts
from domain.commands.accounts import SignUp, SignUpResult, UpdateProfile
from domain.model.errors import ServiceUnavailable
from domain.postgres import keyring
from domain.postgres.unit_of_work import autocommit_unit_of_work, unit_of_work

log = structlog.get_logger(__name__)

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_STRONG_ETAG = re.compile(r'(?<!W/)"[^"]*"')


class SignUpView(NoStoreAPIView):
    """Creates a person and their first session."""

    @openapi.sign_up
    def post(self, request: Request) -> HttpResponse:
        body = SignUpSerializer.parse(request.data)
        result = _sign_up(SignUp(**body), _parse_idempotency_key(request))
        project_and_enqueue(result.result, is_new=not result.replayed)
        person = result.result.person
        response = {
            "id": str(person.id),
            "profile": profile.to_public_dict(person),
            "session": serialize_session(result.token, result.expires_at),
        }
        headers = {"Location": "/api/v1/profile/"}
        if result.replayed:
            headers["Idempotency-Replayed"] = "true"
        return json_response(response, status=201, headers=headers)


@cache
def _log_misrouted_read() -> None:
    """Logs once a process: a load balancer that misroutes one read misroutes all."""
    log.error("profile_read_misrouted")


def _sign_up(command: SignUp, key: str | None) -> SignUpResult:
    now, lifetime = datetime.now(UTC), settings.SESSION_LIFETIME
    if key is None:
        return accounts.sign_up(
            command, autocommit_unit_of_work, keyring.get_keyring(), now, lifetime
        )
    return accounts.sign_up_idempotently(
        command, key, unit_of_work, keyring.get_keyring(), now, lifetime
    )


def _parse_idempotency_key(request: Request) -> str | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        detail = ErrorDetail("Use 16 to 255 visible ASCII characters.", code="invalid")
        raise ValidationError({"Idempotency-Key": [detail]})
    return key


class ProfileView(NoStoreAPIView):
    """The caller's profile: changing and deleting it."""

    @extend_schema(exclude=True)  # described where it is implemented, see openapi/extra_paths.py
    def get(self, request: Request) -> HttpResponse:
        """Refuses a read, which the load balancer should have routed to the read process.

        It is not answered from Redis here: whether a profile there may be trusted (fencing, ended
        sessions) only the read process checks. As a 503 it is retried by clients and proxies, and
        seen by operators, whom a 404 or 405 would tell nothing.
        """
        _log_misrouted_read()
        raise ServiceUnavailable

    @openapi.update_profile
    def patch(self, request: Request) -> HttpResponse:
        body = UpdateProfileSerializer.parse(request.data)
        command = UpdateProfile(get_token_claims(request), _parse_if_match(request), **body)
        committed = accounts.update_profile(
            command, unit_of_work, keyring.get_keyring(), datetime.now(UTC)
        )
        project_and_enqueue(committed)
        person = committed.person
        etag = profile.strong_etag(profile.render_body(person)).decode()
        return json_response(profile.to_public_dict(person), headers={"ETag": etag})

    @openapi.delete_profile
    def delete(self, request: Request) -> HttpResponse:
        run_revocation(
            request, lambda token: accounts.delete_profile(token, unit_of_work, datetime.now(UTC))
        )
        return no_content()


def _parse_if_match(request: Request) -> frozenset[bytes] | None:
    """Returns the strong ETags of `If-Match` (RFC 9110 section 13.1.1); None if absent or `*`."""
    value = request.META.get("HTTP_IF_MATCH")
    if value is None or value.strip() == "*":
        return None
    return frozenset(etag.encode() for etag in _STRONG_ETAG.findall(value))
