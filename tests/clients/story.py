"""What both clients do with a running service, step by step. `clients/typescript/test/story.ts` has
the same steps; a test compares their names.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from rollcall_client import (
    AsyncBackend,
    AsyncRollcall,
    Backend,
    NoResponse,
    Retry,
    Rollcall,
    RollcallError,
    Session,
    UnexpectedResponse,
    problems,
)

type Step = Callable[["Story"], Awaitable[None]]
STEPS: list[Step] = []


def step(function: Step) -> Step:
    STEPS.append(function)
    return function


def step_name(function: Step) -> str:
    return str(getattr(function, "__name__", "")).replace("_", " ")


class InThreads:
    """A synchronous client whose calls are awaited: each runs in a thread."""

    def __init__(self, client: Backend | Rollcall) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        async def call(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(attribute, *args, **options)

        return call


class Story:
    """A person's clients of the service behind the proxy at `url`; all addresses have `number`."""

    def __init__(self, url: str, number: str, key: str, *, synchronous: bool) -> None:
        self.url = url
        self.key = key
        self.number = number
        self.synchronous = synchronous
        self.stored: list[Session | None] = []
        self.clients: list[Any] = []
        self.http = httpx.AsyncClient(base_url=url, timeout=20)
        self.client = self.make_client()
        self.second = self.make_client()
        self.address = self.make_address("ada")

    def make_address(self, name: str) -> dict[str, str]:
        phone = f"+34{600 + sum(name.encode()) % 100}{self.number}"
        return {"email": f"{name}{self.number}@example.com", "phone": phone}

    def make_client(self, **options: Any) -> Any:
        async def store(session: Session | None) -> None:
            self.stored.append(session)

        client: Any = (
            InThreads(Rollcall(self.url, on_session=self.stored.append, **options))
            if self.synchronous
            else AsyncRollcall(self.url, on_session=store, **options)
        )
        self.clients.append(client)
        return client

    def make_backend(self, key: str) -> Any:
        client: Any = (
            InThreads(Backend(self.url, key=key))
            if self.synchronous
            else AsyncBackend(self.url, key=key)
        )
        self.clients.append(client)
        return client

    async def fail(self, *faults: str | None) -> None:
        await self.http.post("/faults", json=faults)
        await self.read_log()

    async def read_log(self) -> list[str]:
        log: list[str] = (await self.http.get("/log")).json()
        return log

    async def read_code(self, address: str, after: int = 0) -> str:
        """Returns the newest code to an address, once it has more than `after` messages."""
        for _ in range(400):
            messages = await self.read_messages(address)
            if len(messages) > after:
                return str(messages[0]["code"])
            await asyncio.sleep(0.05)
        raise AssertionError("no message")

    async def read_messages(self, address: str) -> list[dict[str, Any]]:
        response = await self.http.get("/dev/mailbox.json", params={"to": address})
        messages: list[dict[str, Any]] = response.json()
        return messages

    async def run(self) -> list[str]:
        """Runs all steps; returns their names."""
        names = []
        try:
            for each in STEPS:
                await self.read_log()
                await each(self)
                names.append(step_name(each))
        finally:
            for client in self.clients:
                await (client.close() if self.synchronous else client.aclose())
            await self.http.aclose()
        return names


@step
async def sign_up(story: Story) -> None:
    signed_up = await story.client.sign_up(
        name="Ada", surname="Lovelace", hobbies=["engines"], locale="de-AT", **story.address
    )
    assert signed_up.profile.email == story.address["email"]
    assert not signed_up.profile.email_verified
    assert story.stored == [signed_up.session] == [story.client.session]


@step
async def a_wrong_code_is_an_error_of_its_own(story: Story) -> None:
    await story.read_code(story.address["email"])
    with pytest.raises(problems.CodeInvalid) as error:
        await story.client.confirm_email("000000")
    assert (error.value.code, error.value.status) == ("code_invalid", 400)
    assert error.value.request_id


@step
async def confirm_both_addresses(story: Story) -> None:
    await story.client.confirm_email(await story.read_code(story.address["email"]))
    await story.client.confirm_phone(await story.read_code(story.address["phone"]))
    status = await story.client.get_confirmation_status()
    assert status.email.status == status.phone.status == "confirmed"


@step
async def the_second_read_of_the_profile_is_from_the_cache(story: Story) -> None:
    first = await story.client.get_profile()
    assert first.email_verified
    assert first.phone_verified
    first.hobbies.append("a change of the caller's copy")
    second = await story.client.get_profile()
    assert second == replace(first, hobbies=["engines"])
    path = "GET /api/v1/profile/"
    assert await story.read_log() == [f"{path} 200", f"{path} 304"]


@step
async def a_change_of_what_has_changed_is_refused(story: Story) -> None:
    changed = await story.client.update_profile(hobbies=["poetry"], if_unchanged=True)
    assert changed.hobbies == ["poetry"]
    await story.http.patch(
        "/api/v1/profile/",
        json={"name": "Augusta"},
        headers={"Authorization": f"Bearer {story.client.session.token}"},
    )
    with pytest.raises(problems.PreconditionFailed):
        await story.client.update_profile(hobbies=[], if_unchanged=True)
    assert (await story.client.get_profile()).name == "Augusta"
    changed = await story.client.update_profile(surname="King", if_unchanged=True)
    assert (changed.name, changed.hobbies) == ("Augusta", ["poetry"])


@step
async def sign_in_by_a_code(story: Story) -> None:
    for client, channel in ((story.client, "email"), (story.second, "phone")):
        address = story.address[channel]
        before = len(await story.read_messages(address))
        challenge = await client.request_sign_in_code(**{channel: address})
        session = await client.sign_in(challenge, await story.read_code(address, before))
        assert session == client.session == story.stored[-1]
        assert (await client.get_profile()).name == "Augusta"
        assert session.token not in repr((challenge, session, client))


@step
async def list_the_sessions(story: Story) -> None:
    sessions = await story.second.list_sessions()
    assert [each.current for each in sessions] == [True, False]


@step
async def ask_whose_a_token_is_as_a_backend(story: Story) -> None:
    backend, token = story.make_backend(story.key), story.client.session.token
    state = await backend.introspect(token, claims=True)
    assert (state.active, state.claims.name) == (True, "Augusta")
    states = await backend.introspect_many([token, "forged", token])
    assert [each.active for each in states] == [True, False, True]
    assert states[0].sub == state.sub
    with pytest.raises(problems.InvalidToken):
        await story.make_backend("wrong").introspect(token)


@step
async def callers_at_the_same_moment_refresh_the_session_once(story: Story) -> None:
    old = story.client.session
    ending = story.make_client(session=old, refresh_before=timedelta(days=400))
    stored = len(story.stored)
    profiles = await asyncio.gather(*(ending.get_profile() for _ in range(5)))
    assert {each.name for each in profiles} == {"Augusta"}
    refreshes = [line for line in await story.read_log() if "refresh" in line]
    assert refreshes == ["POST /api/v1/sessions/current/refresh/ 200"]
    assert story.stored[stored:] == [ending.session]
    assert ending.session.token != old.token
    story.client = ending


@step
async def a_refresh_whose_response_is_lost_is_repeated(story: Story) -> None:
    await story.fail("drop")
    session = await story.client.refresh_session()
    assert session == story.client.session == story.stored[-1]
    path = "POST /api/v1/sessions/current/refresh/"
    assert await story.read_log() == [f"{path} drop", f"{path} 200"]
    assert (await story.client.get_profile()).name == "Augusta"


@step
async def a_revoked_session_is_invalid(story: Story) -> None:
    (other,) = [each for each in await story.client.list_sessions() if not each.current]
    await story.client.revoke_session(other.id)
    with pytest.raises(problems.InvalidToken) as error:
        await story.second.get_profile()
    assert error.value.status == 401
    with pytest.raises(problems.NotFound):
        await story.client.revoke_session("00000000-0000-0000-0000-000000000000")


@step
async def every_wrong_field_is_reported(story: Story) -> None:
    with pytest.raises(problems.ValidationFailed) as error:
        await story.second.sign_up(name="", surname="King", email="ada", phone="1")
    assert {each.field for each in error.value.errors} == {"name", "email", "phone"}


@step
async def without_a_session_nothing_is_sent(story: Story) -> None:
    with pytest.raises(problems.InvalidToken):
        await story.make_client().get_profile()
    assert await story.read_log() == []


@step
async def an_unavailable_service_is_asked_again_when_it_says(story: Story) -> None:
    await story.fail("unavailable", "drop")
    assert (await story.client.get_profile()).name == "Augusta"
    assert [line.split()[-1] for line in await story.read_log()] == ["503", "drop", "304"]


@step
async def a_lost_sign_up_makes_one_person(story: Story) -> None:
    await story.fail("drop", "in progress")
    address = story.make_address("lost")
    await story.make_client().sign_up(name="Lost", surname="Once", **address)
    log = await story.read_log()
    assert [line.split()[-1] for line in log] == ["drop", "409", "201"]


@step
async def what_is_not_safe_to_repeat_is_not_repeated(story: Story) -> None:
    await story.fail("unavailable")
    with pytest.raises(problems.Unavailable) as error:
        await story.client.confirm_email("000000")
    assert error.value.retry_after == 1
    await story.fail("drop")
    with pytest.raises(NoResponse):
        await story.client.update_profile(name="Ada")
    assert len(await story.read_log()) == 1


@step
async def repetitions_are_bounded(story: Story) -> None:
    await story.fail("long", "drop")
    with pytest.raises(problems.Unavailable) as error:
        await story.client.get_profile()
    assert error.value.retry_after == 3600
    impatient = story.make_client(
        session=story.client.session, timeout=0.2, retry=Retry(attempts=2)
    )
    await story.fail("hang", "hang", "unavailable")
    with pytest.raises(NoResponse):
        await impatient.get_profile()
    with pytest.raises(problems.Unavailable):
        await story.make_client(session=story.client.session, retry=Retry(attempts=1)).get_profile()


@step
async def other_errors_are_distinguished(story: Story) -> None:
    await story.fail("limited", "unknown", "page", "redirect", "malformed")
    with pytest.raises(problems.RateLimited) as limited:
        await story.client.get_profile()
    assert limited.value.retry_after == 7
    with pytest.raises(RollcallError) as unknown:
        await story.client.get_profile()
    assert type(unknown.value) is RollcallError
    assert (unknown.value.code, unknown.value.request_id) == ("from_the_future", "request-1")
    for _ in range(3):
        with pytest.raises(UnexpectedResponse):
            await story.client.get_profile()


@step
async def a_refresh_that_fails_is_put_off(story: Story) -> None:
    await story.fail("limited")
    ending = story.make_client(session=story.client.session, refresh_before=timedelta(days=400))
    assert (await ending.get_profile()).surname == "King"
    assert (await ending.get_profile()).surname == "King"
    assert [line.split()[-1] for line in await story.read_log()] == ["429", "200", "304"]


@step
async def export_what_is_kept(story: Story) -> None:
    await story.client.update_profile(locale="es")
    export = await story.client.export_profile()
    assert export["profile"]["email"] == story.address["email"]
    assert export["locale"] == "es"


@step
async def a_deletion_whose_response_is_lost_is_completed(story: Story) -> None:
    await story.fail("drop")
    await story.client.delete_profile()
    assert [line.split()[-1] for line in await story.read_log()] == ["drop", "401"]
    assert story.client.session is story.stored[-1] is None
