"""The asynchronous client; `make clients` makes the synchronous one of it."""

from asyncio import Lock
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from rollcall_client import models, operations
from rollcall_client.async_connection import AsyncConnection
from rollcall_client.errors import RollcallError, parse
from rollcall_client.operation import Operation
from rollcall_client.problems import InvalidToken
from rollcall_client.retry import DEFAULT_RETRY, Retry
from rollcall_client.session import CachedProfile, SessionState

_REFRESH_IN = timedelta(days=1)


class AsyncRollcall(AsyncConnection):
    """A client of the service at `base_url`, for one person at a time. Close it, or use it in a
    `with` statement; its calls may run concurrently.

    `session` is the one to begin with, from a storage. `on_session` is called with each new
    session or token, and with None at its end: keep it there. A token is replaced `refresh_before`
    its end, by the next call. `timeout` bounds, in seconds, each connecting, sending and waiting
    for a part of a response. `http` replaces the HTTP client that it makes, and stays open.

    Every method raises a `RollcallError`. Repeated, as `retry` says, is what is safe to repeat, if
    the service is unavailable or the connection breaks: reads, revocations, `delete_profile`,
    `refresh_session`, and `sign_up`, which has an idempotency key.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: models.Session | None = None,
        on_session: Callable[[models.Session | None], Awaitable[None]] | None = None,
        refresh_before: timedelta = _REFRESH_IN,
        timeout: float = 10.0,
        retry: Retry = DEFAULT_RETRY,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(base_url, timeout, retry, http)
        self._state = SessionState(session, refresh_before)
        self._on_session = on_session
        self._refresh_lock = Lock()

    @property
    def session(self) -> models.Session | None:
        """The current session, with its token."""
        return self._state.session

    async def sign_up(
        self,
        *,
        name: str,
        surname: str,
        email: str,
        phone: str,
        hobbies: list[str] | None = None,
        locale: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.SignUpResponse:
        """Creates a person, and signs in as them. Two codes are sent, in the language `locale`
        (`de`, `pt-BR`).

        After a `NoResponse`, sign up again with the same `idempotency_key` (16 to 255 visible ASCII
        characters) to be sure that there is one person; without it each call has its own.
        """
        body = models.SignUpRequest(
            name=name,
            surname=surname,
            email=email,
            phone=phone,
            hobbies=hobbies,
            locale=locale,
        )
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        signed_up = await self._call(operations.SIGN_UP, body, headers, repeat=True)
        await self._begin(signed_up.session)
        return signed_up

    async def request_sign_in_code(
        self, *, email: str | None = None, phone: str | None = None
    ) -> models.SignInChallenge:
        """Has a code sent to a confirmed address, either of the two. The result is the same for
        unknown addresses, which get none.
        """
        body = models.SignInCodeRequest(email=email, phone=phone)
        return await self._call(operations.REQUEST_SIGN_IN_CODE, body)

    async def sign_in(self, challenge: models.SignInChallenge | str, code: str) -> models.Session:
        """Begins a session by the code that was sent for a challenge."""
        if isinstance(challenge, models.SignInChallenge):
            challenge = challenge.challenge
        body = models.SignInRequest(challenge=challenge, code=code)
        session = (await self._call(operations.SIGN_IN, body)).session
        await self._begin(session)
        return session

    async def get_profile(self) -> models.Profile:
        """Returns the profile. Until it has changed, the service does not send it again."""
        state, cached = self._state, self._state.profile
        headers = {"If-None-Match": cached.etag} if cached else {}
        response = await self._send_authorized(operations.GET_PROFILE, None, headers, repeat=True)
        if cached and response.status_code == httpx.codes.NOT_MODIFIED:
            return parse(models.Profile, cached.body)
        return self._remember_profile(state, response)

    async def update_profile(
        self,
        *,
        name: str | None = None,
        surname: str | None = None,
        email: str | None = None,
        phone: str | None = None,
        hobbies: list[str] | None = None,
        locale: str | None = None,
        if_unchanged: bool = False,
    ) -> models.Profile:
        """Changes what is given, and returns the new profile. A new address replaces the old one
        once it is confirmed. `locale` is the language of messages, and not part of the profile.

        `if_unchanged` raises `PreconditionFailed` if the profile is no longer the one that this
        client has read last, and `ValueError` if it has read none.
        """
        state, headers = self._state, {}
        if if_unchanged:
            if not state.profile:
                raise ValueError("if_unchanged takes a profile that this client has read")
            headers["If-Match"] = state.profile.etag
        body = models.UpdateProfileRequest(
            name=name,
            surname=surname,
            email=email,
            phone=phone,
            hobbies=hobbies,
            locale=locale,
        )
        response = await self._send_authorized(operations.UPDATE_PROFILE, body, headers)
        return self._remember_profile(state, response)

    async def export_profile(self) -> dict[str, Any]:
        """Returns all data that is kept about the person, as the service sends it."""
        response = await self._send_authorized(operations.EXPORT_PROFILE, None, repeat=True)
        return parse(dict[str, Any], response.content)

    async def delete_profile(self) -> None:
        """Deletes the person and all their data. If the session ends before a repeated deletion
        is answered, the person is taken to be deleted.
        """
        await self._end(operations.DELETE_PROFILE)

    async def get_confirmation_status(self) -> models.ConfirmationStatuses:
        """Returns how far the confirmation of each address is."""
        return await self._call_authorized(operations.GET_CONFIRMATION_STATUS, None, repeat=True)

    async def confirm_email(self, code: str) -> None:
        """Confirms the e-mail address by the code that was sent to it."""
        await self._call_authorized(operations.CONFIRM_EMAIL, models.ConfirmEmailRequest(code=code))

    async def confirm_email_by_link(self, token: str) -> None:
        """Confirms the e-mail address by what follows the `#` of its link. Needs no session."""
        await self._call(operations.CONFIRM_EMAIL, models.ConfirmEmailRequest(token=token))

    async def confirm_phone(self, code: str) -> None:
        """Confirms the phone number by the code that was sent to it."""
        await self._call_authorized(operations.CONFIRM_PHONE, models.ConfirmPhoneRequest(code=code))

    async def resend_email_confirmation(self) -> models.ResendResponse:
        """Has another code sent to the e-mail address; the one before is superseded."""
        return await self._call_authorized(operations.RESEND_EMAIL_CONFIRMATION, None)

    async def resend_phone_confirmation(self) -> models.ResendResponse:
        """Has another code sent to the phone number; the one before is superseded."""
        return await self._call_authorized(operations.RESEND_PHONE_CONFIRMATION, None)

    async def list_sessions(self) -> list[models.ListedSession]:
        """Returns the active sessions, newest first."""
        return (await self._call_authorized(operations.LIST_SESSIONS, None, repeat=True)).sessions

    async def refresh_session(self) -> models.Session:
        """Replaces the token by one with a new lifetime. Callers at the same moment share it."""
        before = self._state.session
        async with self._refresh_lock:
            if self._state.session is before:
                await self._refresh()
        return self._require_session()

    async def revoke_session(self, session_id: str) -> None:
        """Ends one session of the person, by its id."""
        operation = operations.REVOKE_SESSION
        path = operation.path.format(session_id=quote(session_id, safe=""))
        await self._call_authorized(replace(operation, path=path), None, repeat=True)

    async def revoke_current_session(self) -> None:
        """Signs out."""
        await self._end(operations.REVOKE_CURRENT_SESSION)

    async def revoke_all_sessions(self) -> None:
        """Ends all sessions of the person, this one too."""
        await self._end(operations.REVOKE_ALL_SESSIONS)

    # --- Sessions ------------------------------------------------------------------------------

    async def _begin(self, session: models.Session | None) -> None:
        self._state = SessionState(None, self._state.refresh_before)
        if session:
            self._state.renew(session)
        if self._on_session:
            await self._on_session(session)

    async def _end(self, operation: Operation[None, None]) -> None:
        await self._call_authorized(operation, None, repeat=True)
        await self._begin(None)

    async def _refresh(self) -> None:
        """Refreshes the session; the lock is held."""
        state, token = self._state, self._require_session().token
        headers = {"Authorization": f"Bearer {token}"}
        renewed = await self._call(operations.REFRESH_SESSION, None, headers, repeat=True)
        if self._state is state:  # it has not ended since
            state.renew(renewed.session)
            if self._on_session:
                await self._on_session(renewed.session)

    async def _try_refresh(self) -> None:
        """Refreshes the session if the service can do it now; else the token is still good."""
        state = self._state
        try:
            await self._refresh()
        except InvalidToken:
            raise
        except RollcallError:
            state.postpone_refresh()

    def _require_session(self) -> models.Session:
        if self._state.session is None:
            raise InvalidToken("There is no session: sign in first.", status=401)
        return self._state.session

    async def _authorization(self) -> dict[str, str]:
        """Returns the header with the token, which is refreshed if it is due."""
        if self._state.needs_refresh:
            async with self._refresh_lock:
                if self._state.needs_refresh:
                    await self._try_refresh()
        return {"Authorization": f"Bearer {self._require_session().token}"}

    def _remember_profile(self, state: SessionState, response: httpx.Response) -> models.Profile:
        profile = parse(models.Profile, response.content)
        etag = response.headers.get("etag")
        state.profile = CachedProfile(etag, response.content) if etag else None
        return profile

    async def _call_authorized[B, R](
        self, operation: Operation[B, R], body: B, *, repeat: bool = False
    ) -> R:
        response = await self._send_authorized(operation, body, repeat=repeat)
        return parse(operation.result, response.content)

    async def _send_authorized(
        self,
        operation: Operation[Any, Any],
        body: Any,
        headers: dict[str, str] | None = None,
        *,
        repeat: bool = False,
    ) -> httpx.Response:
        headers = (headers or {}) | await self._authorization()
        return await self._send(operation, body, headers, repeat=repeat)
