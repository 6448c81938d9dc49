"""The commands, each told twice: on the unit of work in memory, and on Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import code, session
from domain.address import Channel, parse_email, parse_phone
from domain.commands import confirmations, people, sessions
from domain.errors import CodeInvalid, InvalidToken, TooManyAttempts
from domain.keys import KeyRing
from domain.ports import Units
from tests.fakes import InMemoryStore
from tests.someone import sign_up_payload

KEYS = KeyRing(["a key for these tests, of no use anywhere else"])
NOW = datetime.now(UTC)


@pytest.fixture(params=["memory", "postgres"])
def units(request: pytest.FixtureRequest) -> Units:
    if request.param == "memory":
        return InMemoryStore().units
    request.getfixturevalue("django_db_access")
    from domain.stores.unit_of_work import unit_of_work

    return unit_of_work


def sign_up(units: Units, body: dict[str, str] | None = None) -> people.SignedUp:
    body = body or sign_up_payload()
    command = people.SignUp(
        "Ada", "Lovelace", parse_email(body["email"]), parse_phone(body["phone"]), ("chess",)
    )
    return people.sign_up(command, units, KEYS, NOW, timedelta(days=30))


def get_code(units: Units, account: people.SignedUp, channel: Channel) -> str:
    with units() as unit:
        counted = unit.count_try(account.committed.person.id, channel)
    assert counted is not None
    digits = code.code_for(KEYS, counted[0].seed)
    assert digits is not None
    return digits


def confirm_by_code(
    account: people.SignedUp, channel: Channel, digits: str
) -> confirmations.ConfirmByCode:
    return confirmations.ConfirmByCode(account.committed.person.id, channel, digits)


def test_sign_up_creates_a_projection_and_two_message_entries(units):
    account = sign_up(units)
    assert len(set(account.committed.outbox_ids)) == 3
    assert account.committed.person.version == 1
    assert account.expires_at - NOW <= timedelta(days=30)


def test_session_of_a_sign_up_authenticates_until_it_expires(units):
    account = sign_up(units)
    assert sessions.authenticate(account.token, units, KEYS, NOW) == account.committed.person.id
    with pytest.raises(InvalidToken):
        sessions.authenticate(account.token, units, KEYS, NOW + timedelta(days=30))
    unknown, _ = session.issue(KEYS, account.committed.person.id, 1)
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
        counted = unit.count_try(account.committed.person.id, Channel.EMAIL)
    assert counted is not None
    token = code.link_token_for(KEYS, counted[0].seed)
    assert token is not None
    assert confirmations.look_at_link(token, units, KEYS) == confirmations.Link("Ada", "open")
    confirmations.confirm_by_link(confirmations.ConfirmByLink(token), units, KEYS)
    assert confirmations.look_at_link(token, units, KEYS) == confirmations.Link("Ada", "confirmed")
    with pytest.raises(CodeInvalid):
        confirmations.look_at_link(token[::-1], units, KEYS)


def test_code_has_five_attempts_and_success_resets_them(units):
    account = sign_up(units)
    code = get_code(units, account, Channel.PHONE)  # the first try
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for _ in range(3):
        with pytest.raises(CodeInvalid):
            confirmations.confirm_by_code(
                confirm_by_code(account, Channel.PHONE, wrong), units, KEYS
            )
    assert confirmations.confirm_by_code(confirm_by_code(account, Channel.PHONE, code), units, KEYS)
    for _ in range(5):
        with pytest.raises(CodeInvalid):
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
    with pytest.raises(CodeInvalid):
        confirmations.confirm_by_code(
            confirm_by_code(first, Channel.EMAIL, other_code), units, KEYS
        )
    later = sign_up(units, body)
    with pytest.raises(CodeInvalid):
        confirmations.confirm_by_code(
            confirm_by_code(later, Channel.EMAIL, get_code(units, later, Channel.EMAIL)),
            units,
            KEYS,
        )


def test_codes_are_valid_while_their_key_is_in_the_keyring(units):
    account = sign_up(units)
    code = get_code(units, account, Channel.PHONE)
    command = confirm_by_code(account, Channel.PHONE, code)
    with pytest.raises(CodeInvalid):
        confirmations.confirm_by_code(command, units, KeyRing(["another secret"]))
    old = KeyRing(["another secret", "a key for these tests, of no use anywhere else"])
    assert confirmations.confirm_by_code(command, units, old)
