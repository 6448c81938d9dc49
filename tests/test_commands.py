"""The commands, each told twice: on the unit of work in memory, and on Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import code, session
from domain.address import Channel, parse_email, parse_phone
from domain.commands import confirmations, people, sessions
from domain.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.keys import Keyring
from domain.ports import UnitOfWorkFactory
from tests.fakes import Memory
from tests.someone import new_body

KEYS = Keyring(["a key for these tests, of no use anywhere else"])
NOW = datetime.now(UTC)


@pytest.fixture(params=["memory", "postgres"])
def units(request: pytest.FixtureRequest) -> UnitOfWorkFactory:
    if request.param == "memory":
        return Memory().units
    request.getfixturevalue("django_here")
    from domain.stores.unit_of_work import unit_of_work

    return unit_of_work


def signed_up(units: UnitOfWorkFactory, body: dict[str, str] | None = None) -> people.SignUpResult:
    body = body or new_body()
    command = people.SignUp(
        "Ada", "Lovelace", parse_email(body["email"]), parse_phone(body["phone"]), ("chess",)
    )
    return people.sign_up(command, units, KEYS, NOW, timedelta(days=30))


def code_of(units: UnitOfWorkFactory, who: people.SignUpResult, channel: Channel) -> str:
    with units() as unit:
        recorded = unit.record_attempt(who.result.person.id, channel)
    assert recorded is not None
    digits = code.derive_code(KEYS, recorded[0].context)
    assert digits is not None
    return digits


def by_code(who: people.SignUpResult, channel: Channel, digits: str) -> confirmations.ConfirmByCode:
    return confirmations.ConfirmByCode(who.result.person.id, channel, digits)


def test_a_sign_up_leaves_a_profile_to_write_and_two_messages_to_send(units):
    who = signed_up(units)
    assert len(set(who.result.outbox_ids)) == 3
    assert who.result.person.version == 1
    assert who.expires_at - NOW <= timedelta(days=30)


def test_the_session_of_a_sign_up_opens_the_door_until_it_ends(units):
    who = signed_up(units)
    assert sessions.authenticate(who.token, units, KEYS, NOW) == who.result.person.id
    with pytest.raises(InvalidToken):
        sessions.authenticate(who.token, units, KEYS, NOW + timedelta(days=30))
    stray, _ = session.issue_token(KEYS, who.result.person.id, 1)
    with pytest.raises(InvalidToken):
        sessions.authenticate(stray, units, KEYS, NOW)


@pytest.mark.parametrize("channel", Channel)
def test_the_right_code_confirms_once_and_raises_the_version(units, channel):
    who = signed_up(units)
    digits = code_of(units, who, channel)
    done = confirmations.confirm_by_code(by_code(who, channel, digits), units, KEYS)
    assert done is not None
    assert (done.person.email_verified, done.person.phone_verified) == (
        channel is Channel.EMAIL,
        channel is Channel.PHONE,
    )
    assert done.person.version == 2
    assert len(done.outbox_ids) == 1
    assert confirmations.confirm_by_code(by_code(who, channel, digits), units, KEYS) is None


def test_looking_at_a_link_tells_the_name_and_how_it_stands(units):
    who = signed_up(units)
    with units() as unit:
        recorded = unit.record_attempt(who.result.person.id, Channel.EMAIL)
    assert recorded is not None
    token = code.derive_link_token(KEYS, recorded[0].context)
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


def test_five_tries_a_code_are_looked_at_and_a_success_clears_them(units):
    who = signed_up(units)
    digits = code_of(units, who, Channel.PHONE)  # the first try
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    for _ in range(3):
        with pytest.raises(InvalidCode):
            confirmations.confirm_by_code(by_code(who, Channel.PHONE, wrong), units, KEYS)
    assert confirmations.confirm_by_code(by_code(who, Channel.PHONE, digits), units, KEYS)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            confirmations.confirm_by_code(by_code(who, Channel.PHONE, wrong), units, KEYS)
    with pytest.raises(TooManyAttempts):
        confirmations.confirm_by_code(by_code(who, Channel.PHONE, digits), units, KEYS)


def test_whoever_confirms_an_address_first_has_it_and_the_rivals_codes_are_wrong(units):
    body = new_body()
    first, second = signed_up(units, body), signed_up(units, body)
    theirs = code_of(units, first, Channel.EMAIL)
    assert confirmations.confirm_by_code(
        by_code(second, Channel.EMAIL, code_of(units, second, Channel.EMAIL)), units, KEYS
    )
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(by_code(first, Channel.EMAIL, theirs), units, KEYS)
    late = signed_up(units, body)
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(
            by_code(late, Channel.EMAIL, code_of(units, late, Channel.EMAIL)), units, KEYS
        )


def test_codes_of_a_key_that_left_the_ring_confirm_nothing_and_of_one_that_stays_do(units):
    who = signed_up(units)
    digits = code_of(units, who, Channel.PHONE)
    command = by_code(who, Channel.PHONE, digits)
    with pytest.raises(InvalidCode):
        confirmations.confirm_by_code(command, units, Keyring(["another secret"]))
    old = Keyring(["another secret", "a key for these tests, of no use anywhere else"])
    assert confirmations.confirm_by_code(command, units, old)
