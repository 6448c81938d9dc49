"""The commands, each on the in-memory unit of work and on Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.commands import accounts, confirmations, sessions
from domain.commands.ports import UnitOfWorkFactory
from domain.model import one_time_code, session_token
from domain.model.address import Channel, parse_email, parse_phone
from domain.model.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.model.keyring import Keyring
from tests.support.client import sign_up_payload
from tests.support.in_memory_uow import InMemoryStore

KEYS = Keyring(["a key for these tests, of no use anywhere else"])
NOW = datetime.now(UTC)


@pytest.fixture(params=["memory", "postgres"])
def units(request: pytest.FixtureRequest) -> UnitOfWorkFactory:
    if request.param == "memory":
        return InMemoryStore().units
    request.getfixturevalue("django_db_access")
    from domain.postgres.unit_of_work import unit_of_work

    return unit_of_work


def sign_up(units: UnitOfWorkFactory, body: dict[str, str] | None = None) -> accounts.SignUpResult:
    body = body or sign_up_payload()
    command = accounts.SignUp(
        "Ada", "Lovelace", parse_email(body["email"]), parse_phone(body["phone"]), ("chess",)
    )
    return accounts.sign_up(command, units, KEYS, NOW, timedelta(days=30))


def get_code(units: UnitOfWorkFactory, account: accounts.SignUpResult, channel: Channel) -> str:
    with units() as unit:
        recorded = unit.record_attempt(account.result.person.id, channel)
    assert recorded is not None
    digits = one_time_code.derive_code(KEYS, recorded[0].context)
    assert digits is not None
    return digits


def confirm_by_code(
    account: accounts.SignUpResult, channel: Channel, digits: str
) -> confirmations.ConfirmByCode:
    return confirmations.ConfirmByCode(account.result.person.id, channel, digits)


def test_sign_up_creates_a_projection_and_two_message_entries(units):
    account = sign_up(units)
    assert len(set(account.result.outbox_ids)) == 3
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
    done = confirmations.confirm_by_code(confirm_by_code(account, channel, code), units, KEYS)
    assert done is not None
    assert (done.person.email_verified, done.person.phone_verified) == (
        channel is Channel.EMAIL,
        channel is Channel.PHONE,
    )
    assert done.person.version == 2
    assert len(done.outbox_ids) == 1
    assert (
        confirmations.confirm_by_code(confirm_by_code(account, channel, code), units, KEYS) is None
    )


def test_inspect_link_returns_name_and_state(units):
    account = sign_up(units)
    with units() as unit:
        recorded = unit.record_attempt(account.result.person.id, Channel.EMAIL)
    assert recorded is not None
    token = one_time_code.derive_link_token(KEYS, recorded[0].context)
    assert token is not None
    assert confirmations.inspect_link(token, units, KEYS) == confirmations.ConfirmationLink(
        "Ada", "open"
    )
    confirmations.confirm_by_link(confirmations.ConfirmByLink(token), units, KEYS)
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
            confirmations.confirm_by_code(
                confirm_by_code(account, Channel.PHONE, wrong), units, KEYS
            )
    assert confirmations.confirm_by_code(confirm_by_code(account, Channel.PHONE, code), units, KEYS)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            confirmations.confirm_by_code(
                confirm_by_code(account, Channel.PHONE, wrong), units, KEYS
            )
    with pytest.raises(TooManyAttempts):
        confirmations.confirm_by_code(confirm_by_code(account, Channel.PHONE, code), units, KEYS)


def test_first_confirmation_invalidates_competing_codes(units):
    body = sign_up_payload()
    first, second = sign_up(units, body), sign_up(units, body)
    other_code = get_code(units, first, Channel.EMAIL)
    assert confirmations.confirm_by_code(
        confirm_by_code(second, Channel.EMAIL, get_code(units, second, Channel.EMAIL)), units, KEYS
    )
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(
            confirm_by_code(first, Channel.EMAIL, other_code), units, KEYS
        )
    later = sign_up(units, body)
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(
            confirm_by_code(later, Channel.EMAIL, get_code(units, later, Channel.EMAIL)),
            units,
            KEYS,
        )


def test_codes_are_valid_while_their_key_is_in_the_keyring(units):
    account = sign_up(units)
    code = get_code(units, account, Channel.PHONE)
    command = confirm_by_code(account, Channel.PHONE, code)
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(command, units, Keyring(["another secret"]))
    old = Keyring(["another secret", "a key for these tests, of no use anywhere else"])
    assert confirmations.confirm_by_code(command, units, old)
