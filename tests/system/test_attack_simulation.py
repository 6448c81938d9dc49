"""An attack on one address, one phone prefix and the service, from many networks for days.

1,000 networks for a week with LONG=1, else 34 for a day. The service is real, its time is
simulated. Message quotas are those of production; without LONG those of one address are smaller,
and those of all text messages a tenth. Rate limits on requests are wide: they are counted by Redis'
clock, and all that is asserted here has to hold without them. `-s` shows the report.
"""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import psycopg
import pytest

from tests.conftest import LONG
from tests.support.attack_simulation import Simulation
from tests.support.client import sign_up_payload, wait_until
from tests.support.simulated_people import (
    HOME,
    NEWCOMER,
    PREFIX,
    RIGHTFUL_NAME,
    THIEF,
    UNCLAIMED,
    VICTIM,
    Day,
)
from tests.support.stacks import extra_stack

MESSAGES_PER_DAY, SMS_PER_NETWORK = 20 if LONG else 12, 20
SMS_PER_PREFIX, SMS_TOTAL, CONVERSION_SAMPLE = 50, 500, 10  # times 10 with LONG=1
SHORT_CODE_GUESSES = 15  # a day, at codes for one address
LIMITS = {
    "TRUSTED_PROXIES": "1",
    "MESSAGES_PER_DAY": str(MESSAGES_PER_DAY),
    "MESSAGES_PER_NETWORK_PER_DAY": "5",
    "MESSAGE_COOLDOWN_SECONDS": "60",
    "SMS_PER_NETWORK_PER_DAY": str(SMS_PER_NETWORK),
    "OUTBOX_LEASE_SECONDS": "60",  # on a busy machine nothing is sent twice, and all is counted
}


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory, scale: int) -> Iterator[Simulation]:
    """A simulation that has run for all its days."""
    limits = LIMITS | {
        "SMS_PER_DAY": str(SMS_TOTAL * scale),
        "SMS_TO_OWNERS_PER_DAY": str(SMS_TOTAL * scale),
        "SMS_PER_PREFIX_PER_DAY": str(SMS_PER_PREFIX * scale),
        "SMS_CONVERSION_MIN_SAMPLE": str(CONVERSION_SAMPLE * scale),
    }
    with (
        extra_stack(tmp_path_factory.mktemp("attacked"), **limits) as stack,
        httpx.Client(base_url=stack.url, timeout=60) as http,
        psycopg.connect(stack.environment()["DATABASE_URL"], autocommit=True) as connection,
    ):
        simulation = Simulation(stack, http, connection)
        simulation.sign_up_owner()
        simulation.time.advance(timedelta(days=1))
        for _ in range(7 if scale > 1 else 1):
            simulation.run_day(range(1000) if scale > 1 else range(0, 100, 3))
            print(report(simulation.days[-1]))  # noqa: T201  # for -s
        print(report_week(simulation))  # noqa: T201  # for -s
        yield simulation


@pytest.fixture
def days(simulation: Simulation) -> list[Day]:
    """What was counted on each day."""
    return simulation.days


def report(day: Day) -> str:
    attacked = (*VICTIM.values(), UNCLAIMED)
    lines = ["", "messages to those attacked: " + str({
        f"{to} {purpose}": count for (to, purpose), count in day.messages.items() if to in attacked
    })]  # fmt: skip
    lines.append(f"guesses by length of the code: {day.guesses}")
    lines.append(f"text messages: {day.sms_total}, of sign-ups {day.sms_of_sign_ups}, most of one"
                 f" network {max(day.sms.values())}")  # fmt: skip
    lines.append(f"messages that were needed {dict(day.needed)}, got {dict(day.received)}")
    return "\n  ".join([*lines, f"responses: {dict(day.statuses)}"])


def report_week(simulation: Simulation) -> str:
    """Returns the probability to have guessed a code for an address, of each address."""
    lines = [""]
    for address in (*VICTIM.values(), UNCLAIMED):
        guesses = [day.guesses[address] for day in simulation.days]
        short, long = (sum(day.get(length, 0) for day in guesses) for length in (6, 10))
        lines.append(f"{address}: {short} guesses * 10^-6 + {long} guesses * 2^-50"
                     f" = {short * 10**-6 + long * 2**-50:.2g}")  # fmt: skip
    name = f"'{RIGHTFUL_NAME}'"
    got = any(RIGHTFUL_NAME in each["text"] for each in simulation.messages(UNCLAIMED))
    lines.append(f"{name}, whose address was attacked before they signed up, got a code: {got}")
    return "\n  ".join(lines)


def test_owner_signs_in_from_home_every_time(days: list[Day]):
    for day in days:
        assert day.statuses["owner's sign-in", 201] == day.needed["owner's sign-in"] == 4


def test_guesses_at_short_codes_are_bounded(days: list[Day]):
    """In a week 15 * 7 * 10^-6, about one in ten thousand, and next to nothing at long codes: at
    most 5 guesses at each of 20 messages for each of two purposes a day, 1,400 * 2^-50 = 10^-12.
    """
    for day in days:
        for address, guesses in day.guesses.items():
            assert guesses.get(6, 0) <= SHORT_CODE_GUESSES, address
            assert guesses.get(10, 0) <= 5 * 2 * MESSAGES_PER_DAY, address
        assert {status for what, status in day.statuses if what == "guess"} == {400, 429}
    for address in VICTIM.values():
        assert days[0].guesses[address][6] == SHORT_CODE_GUESSES, "it was put to the test"


def test_messages_to_the_victim_are_bounded(days: list[Day]):
    """20 a day for each purpose (`MESSAGES_PER_DAY`), and what the owner asked for."""
    for day in days:
        own = day.statuses["owner's sign-in", 201] // 2  # by each channel
        for (to, purpose), count in day.messages.items():
            allowed = MESSAGES_PER_DAY + (own if purpose == "sign-in" else 0)
            assert count <= allowed, (to, purpose)
    assert days[-1].messages[VICTIM["email"], "sign-in"] > MESSAGES_PER_DAY, (
        "it was put to the test"
    )
    assert days[-1].messages[UNCLAIMED, "confirmation"] == MESSAGES_PER_DAY


def test_text_messages_are_bounded(days: list[Day], scale: int):
    """By network, and by prefix (all numbers here have the same one), whatever signs up."""
    for day in days:
        assert max(day.sms.values()) <= SMS_PER_NETWORK
        assert day.sms_of_sign_ups <= SMS_PER_PREFIX * scale
        to_victim = [count for (to, _), count in day.messages.items() if to == VICTIM["phone"]]
        assert day.sms_total <= SMS_PER_PREFIX * scale + sum(to_victim) + 10, "the thief's changes"
        assert day.statuses["sign-up", 201] > SMS_PER_PREFIX * scale, "it was put to the test"


def test_owners_and_newcomers_get_their_messages(days: list[Day]):
    """The notices of what a thief does too, whatever else is sent to the same addresses."""
    for day in days:
        assert day.received == day.needed
        assert day.statuses["newcomer's confirmation", 200] == 2
        assert day.statuses["thief's change", 200] == 5


def test_owner_takes_the_account_back_from_a_thief(simulation: Simulation):
    thief = {"email": sign_up_payload()["email"]}
    assert simulation.change_by_thief(thief).status_code == 200
    wait_until(lambda: "to change" in simulation.messages(VICTIM["email"])[0]["subject"])
    code = simulation.wait_for_code(thief["email"])
    token = simulation.stolen_token
    assert simulation.confirm(THIEF, "email", code, token) == 200
    own = simulation.sign_in_owner("phone")
    assert simulation.request("DELETE", HOME, "sessions/", token=own).status_code == 204
    assert simulation.change_by_thief(thief).status_code == 401
    simulation.time.advance(timedelta(days=1))  # the thief may have used the day's changes up
    own = simulation.sign_in_owner("phone")
    back = {"email": VICTIM["email"]}
    assert simulation.request("PATCH", HOME, "profile/", back, own).status_code == 200
    simulation.time.settle()
    code = simulation.codes(VICTIM["email"])[0]
    assert simulation.confirm(HOME, "email", code, own) == 200


def test_pumping_costs_confirmed_addresses_with_sms_after_email(simulation: Simulation):
    """Sign-ups whose e-mail is not confirmed cause no text message, and use up no newcomer's."""
    simulation.time.advance(timedelta(days=2))
    worker = simulation.stack.services["worker"]
    worker.kill()
    worker.env = simulation.stack.environment() | {"SMS_AFTER_EMAIL": "1"}
    worker.start()
    numbers = [simulation.make_number() for _ in range(SMS_PER_NETWORK)]
    for number in numbers:
        simulation.sign_up("198.18.255.1", phone=number)
    simulation.time.settle()
    token, profile = simulation.sign_up_newcomer()
    code = simulation.wait_for_code(profile["phone"])
    assert simulation.confirm(NEWCOMER, "phone", code, token) == 200
    assert [number for number in numbers if simulation.messages(number)] == []
    assert all(number.startswith(PREFIX) for number in (*numbers, profile["phone"]))
