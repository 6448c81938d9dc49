"""Sign-up, update and deletion of a profile. Reads are in `api.reads`."""

import re
from datetime import UTC, datetime
from typing import NoReturn

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from api.preconditions import evaluate_preconditions
from api.writes.after_commit import project_and_enqueue
from api.writes.base import (
    NoStoreAPIView,
    get_language,
    get_network,
    get_session_client,
    get_token_claims,
    refuse_misrouted,
    run_revocation,
    session_response,
)
from api.writes.json_parser import json_response
from api.writes.openapi import PUBLIC, operation, request_header, response_header
from api.writes.response_serializers import ProfileSerializer, SignUpResponseSerializer
from api.writes.serializers import SignUpSerializer, UpdateProfileSerializer
from domain import profile
from domain.commands import accounts
from domain.commands.accounts import Precondition, SignUp, UpdateProfile
from domain.commands.sessions import NewSession
from domain.model.errors import InvalidField
from domain.postgres import keyring
from domain.postgres.unit_of_work import autocommit_unit_of_work, unit_of_work

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_IF_MATCH = request_header(
    "If-Match", "ETags that the client has, or `*`; 412 if none is the current one."
)
_IF_NONE_MATCH = request_header("If-None-Match", "ETags, or `*`; 412 if one is the current one.")


class SignUpView(NoStoreAPIView):
    """Creates a person and their first session."""

    @operation(
        "signUp",
        "Sign up",
        {201: SignUpResponseSerializer, 409: None, 422: None},
        response_header("Location", "The URL of the new profile.", 201),
        response_header(
            "Idempotency-Replayed", "`true` if this is the response to a repeated request.", 201
        ),
        request_header(
            "Idempotency-Key",
            "Repeating the key and body within 10 minutes returns the same person.",
            {"type": "string", "pattern": "^[!-~]{16,255}$"},
        ),
        request_header("Accept-Language", "The language of messages, unless `locale` is sent."),
        body=SignUpSerializer,
        security=PUBLIC,
    )
    def post(self, request: Request) -> HttpResponse:
        key, now = request.META.get("HTTP_IDEMPOTENCY_KEY"), datetime.now(UTC)
        body = SignUpSerializer.parse(request.data, _check_idempotency_key(key))
        as_cookie: bool = body.pop("session_cookie")
        command = SignUp(
            **body,
            network=get_network(request),
            client=get_session_client(request),
            preferred_language=get_language(request),
        )
        result = _sign_up(command, key, now)
        project_and_enqueue(result.result, signed_up_at=None if result.replayed else now)
        person = result.result.person
        response = {"id": str(person.id), "profile": profile.to_public_dict(person)}
        headers = {"Location": "/api/v1/profile/"}
        if result.replayed:
            headers["Idempotency-Replayed"] = "true"
        return session_response(result, response, as_cookie=as_cookie, status=201, headers=headers)


def _sign_up(command: SignUp, key: str | None, now: datetime) -> NewSession:
    lifetime = settings.SESSION_LIFETIME
    if key is None:
        return accounts.sign_up(
            command, autocommit_unit_of_work, keyring.get_keyring(), now, lifetime
        )
    return accounts.sign_up_idempotently(
        command, key, unit_of_work, keyring.get_keyring(), now, lifetime
    )


def _check_idempotency_key(key: str | None) -> dict[str, InvalidField]:
    """Returns the error of the header, if it has one."""
    if key is None or _IDEMPOTENCY_KEY.fullmatch(key):
        return {}
    return {"Idempotency-Key": InvalidField("invalid", "Use 16 to 255 visible ASCII characters.")}


class ProfileView(NoStoreAPIView):
    """The caller's profile."""

    @operation(
        "getProfile",
        "Get the caller's profile",
        {200: ProfileSerializer, 304: None, 401: None, 412: None, 503: None},
        _IF_MATCH,
        request_header(
            "If-None-Match", "ETags that the client has; 304 if one is the current one."
        ),
        response_header("ETag", "A strong validator of the body.", 200, 304),
        response_header("Cache-Control", "`private, no-cache`.", 200, 304),
        response_header("Vary", "`Authorization, Cookie`.", 200, 304),
    )
    def get(self, request: Request) -> NoReturn:
        """Served by the read process."""
        refuse_misrouted("profile_read_misrouted")

    @operation(
        "updateProfile",
        "Update the caller's profile",
        {200: ProfileSerializer, 412: None},
        response_header("ETag", "A strong validator of the new body.", 200),
        _IF_MATCH,
        _IF_NONE_MATCH,
        body=UpdateProfileSerializer,
    )
    def patch(self, request: Request) -> HttpResponse:
        body = UpdateProfileSerializer.parse(request.data)
        command = UpdateProfile(
            get_token_claims(request), get_network(request), _precondition(request), **body
        )
        committed = accounts.update_profile(
            command, unit_of_work, keyring.get_keyring(), datetime.now(UTC)
        )
        project_and_enqueue(committed)
        person = committed.person
        etag = profile.strong_etag(profile.render_body(person)).decode()
        return json_response(profile.to_public_dict(person), headers={"ETag": etag})

    @operation(
        "deleteProfile",
        "Delete the caller's account",
        {204: None, 412: None},
        _IF_MATCH,
        _IF_NONE_MATCH,
    )
    def delete(self, request: Request) -> HttpResponse:
        precondition = _precondition(request)
        return run_revocation(
            request,
            lambda token: accounts.delete_profile(
                token, unit_of_work, datetime.now(UTC), precondition
            ),
        )


def _precondition(request: Request) -> Precondition:
    """Returns the request's precondition; the command evaluates it under the lock of its row."""
    tags = request.META.get("HTTP_IF_MATCH"), request.META.get("HTTP_IF_NONE_MATCH")
    return lambda etag: evaluate_preconditions(str(request.method), etag, *tags) is None
