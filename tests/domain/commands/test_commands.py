"""The commands, each on the in-memory unit of work and on Postgres."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from domain.commands import accounts, confirmations, sessions
from domain.commands.confirmations import ConfirmByCode
from domain.commands.ports import CommandResult, UnitOfWorkFactory
from domain.commands.sessions import NewSession
from domain.model import one_time_code, session_token
from domain.model.address import Channel, parse_email, parse_phone
from domain.model.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.model.keyring import Keyring
from domain.model.person import Person, SessionClient
from tests.support.client import sign_up_payload
from tests.support.in_memory_uow import InMemoryStore

KEYS = Keyring(["a key for these tests, of no use anywhere else"])
NOW = datetime.now(UTC)


@pytest.fixture(params=["memory", "postgres"])
def units(request: pytest.FixtureRequest) -> UnitOfWorkFactory:
    if request.param == "memory":
        # It implements what these tests use of the port.
        return cast(UnitOfWorkFactory, InMemoryStore().units)
    request.getfixturevalue("django_db_access")
    from domain.postgres.unit_of_work import unit_of_work

    return unit_of_work


def sign_up(units: UnitOfWorkFactory, body: dict[str, str] | None = None) -> NewSession:
    body = body or sign_up_payload()
    command = accounts.SignUp(
        "Ada",
        "Lovelace",
        parse_email(body["email"]),
        parse_phone(body["phone"]),
        ("chess",),
        network="192.0.2.1",
        client=SessionClient("Firefox on Linux", "192.0.2.0/24"),
    )
    account = accounts.sign_up(command, units, KEYS, NOW, timedelta(days=30))
    if not isinstance(getattr(units, "__self__", None), InMemoryStore):
        from domain.postgres.models import Confirmation

        # As if the codes had been sent, which the store in memory does by itself.
        Confirmation.objects.filter(person_id=account.result.person.id).update(code_length=6)
    return account


def get_code(units: UnitOfWorkFactory, account: NewSession, channel: Channel) -> str:
    with units() as unit:
        confirmation = unit.record_confirmation_attempt(account.result.person.id, channel)
    digits = one_time_code.derive_code(KEYS, confirmation.context)
    assert digits is not None
    return digits


def confirm_by_code(
    units: UnitOfWorkFactory,
    account: NewSession,
    channel: Channel,
    code: str,
    keyring: Keyring = KEYS,
) -> CommandResult[Person] | None:
    person_id = account.result.person.id
    digest = session_token.token_digest(account.token)
    command = ConfirmByCode(person_id, channel, code, digest, "192.0.2.1")
    return confirmations.confirm_by_code(command, units, keyring)


def test_sign_up_creates_a_projection_and_two_message_entries(units):
    account = sign_up(units)
    assert len(set(account.result.outbox_refs)) == 3
    assert account.result.person.version == 1
    assert account.expires_at - NOW <= timedelta(days=30)


def test_session_of_a_sign_up_authenticates_until_it_expires(units):
    account = sign_up(units)
    assert sessions.authenticate(account.token, units, KEYS, NOW) == account.result.person.id
    with pytest.raises(InvalidToken):
        sessions.authenticate(account.token, units, KEYS, NOW + timedelta(days=30))
    unknown, _ = session_token.issue_token(KEYS, account.result.person.id, 1)
    with pytest.raises(InvalidToken):
        sessions.authenticate(unknown, units, KEYS, NOW)


@pytest.mark.parametrize("channel", Channel)
def test_valid_code_confirms_once_and_bumps_the_version(units, channel):
    account = sign_up(units)
    code = get_code(units, account, channel)
    done = confirm_by_code(units, account, channel, code)
    assert done is not None
    assert (done.person.email_verified, done.person.phone_verified) == (
        channel is Channel.EMAIL,
        channel is Channel.PHONE,
    )
    assert done.person.version == 2
    assert len(done.outbox_refs) == 1
    assert confirm_by_code(units, account, channel, code) is None


def test_inspect_link_returns_name_and_state(units):
    account = sign_up(units)
    with units() as unit:
        confirmation = unit.record_confirmation_attempt(account.result.person.id, Channel.EMAIL)
    token = one_time_code.derive_link_token(KEYS, confirmation.context)
    assert token is not None
    assert confirmations.inspect_link(token, units, KEYS) == confirmations.ConfirmationLink(
        "Ada", "open"
    )
    confirmations.confirm_by_link(token, "192.0.2.1", units, KEYS)
    assert confirmations.inspect_link(token, units, KEYS) == confirmations.ConfirmationLink(
        "Ada", "confirmed"
    )
    with pytest.raises(InvalidCode):
        confirmations.inspect_link(token[::-1], units, KEYS)


def test_code_has_five_attempts_and_success_resets_them(units):
    account = sign_up(units)
    code = get_code(units, account, Channel.PHONE)  # the first attempt
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(3):
        with pytest.raises(InvalidCode):
            confirm_by_code(units, account, Channel.PHONE, wrong)
    assert confirm_by_code(units, account, Channel.PHONE, code)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            confirm_by_code(units, account, Channel.PHONE, wrong)
    with pytest.raises(TooManyAttempts):
        confirm_by_code(units, account, Channel.PHONE, code)


def test_first_confirmation_invalidates_competing_codes(units):
    body = sign_up_payload()
    first, second = sign_up(units, body), sign_up(units, body)
    other_code = get_code(units, first, Channel.EMAIL)
    own_code = get_code(units, second, Channel.EMAIL)
    assert confirm_by_code(units, second, Channel.EMAIL, own_code)
    with pytest.raises(InvalidCode):
        confirm_by_code(units, first, Channel.EMAIL, other_code)
    later = sign_up(units, body)
    later_code = get_code(units, later, Channel.EMAIL)
    with pytest.raises(InvalidCode):
        confirm_by_code(units, later, Channel.EMAIL, later_code)


def test_codes_are_valid_while_their_key_is_in_the_keyring(units):
    account = sign_up(units)
    code = get_code(units, account, Channel.PHONE)
    with pytest.raises(InvalidCode):
        confirm_by_code(units, account, Channel.PHONE, code, Keyring(["another secret"]))
    old = Keyring(["another secret", "a key for these tests, of no use anywhere else"])
    assert confirm_by_code(units, account, Channel.PHONE, code, old)
