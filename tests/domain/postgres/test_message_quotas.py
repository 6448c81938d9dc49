"""Cooldowns and quotas of messages."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    field_errors,
    problem_code,
    sign_up_payload,
    wait_until,
)
from tests.support.stacks import extra_stack

LIMITS = {
    "MESSAGES_PER_DAY": "3",
    "MESSAGE_COOLDOWN_SECONDS": "60",
    "SMS_PER_DAY": "1000",
    "SMS_PER_PREFIX_PER_DAY": "4",
    "SMS_COUNTRIES": "ES,PT",
    "SMS_CONVERSION_MIN_SAMPLE": "3",
}
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with tight quotas."""
    with extra_stack(tmp_path_factory.mktemp("tight"), **LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def cursor(stack: Stack) -> Iterator[Any]:
    """A cursor on that stack's Postgres."""
    import psycopg

    url = stack.environment()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def api(stack: Stack) -> Iterator[ApiClient]:
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield ApiClient(client)


@pytest.fixture
def advance_time(cursor: Any) -> Any:
    """Moves all timestamps that quotas depend on back."""

    def advance_time(time: timedelta) -> None:
        cursor.execute("UPDATE rollcall_confirmation SET created_at = created_at - %s", [time])
        cursor.execute(
            "UPDATE rollcall_ratelimitwindow SET hits ="
            " ARRAY(SELECT hit - %s FROM unnest(hits) AS hit ORDER BY 1)",
            [time],
        )
        cursor.execute(
            "UPDATE rollcall_outboxentry SET due_at = due_at - %s WHERE state = 'pending'", [time]
        )
        cursor.execute("UPDATE rollcall_smsprefixstats SET hour_start = hour_start - %s", [time])

    return advance_time


def resend(person: SignedUpPerson, channel: str) -> httpx.Response:
    return person.request("POST", f"confirmations/{channel}/resend/")


def get_status(person: SignedUpPerson, channel: str) -> str:
    state: dict[str, str] = person.request("GET", "confirmations/").json()[channel]
    return state["status"]


def make_phone(prefix: str) -> str:
    return prefix + str(sign_up_payload()["phone"])[len(prefix) :]


def get_outcomes(cursor: Any, person: SignedUpPerson, channel: str) -> list[tuple[str, str]]:
    """Returns state and reason of a person's outbox entries on a channel, oldest first."""
    rows = cursor.execute(
        "SELECT o.state, o.reason_code FROM rollcall_outboxentry o JOIN rollcall_confirmation c"
        " ON c.id = o.confirmation_id WHERE o.person_id = %s AND c.channel = %s ORDER BY o.id",
        [person.id, channel],
    )
    outcomes: list[tuple[str, str]] = rows.fetchall()
    return outcomes


def test_cooldown_between_messages_doubles(api: ApiClient, advance_time):
    person = api.sign_up(phone=make_phone("+34601"))
    assert person.message("phone")
    premature = resend(person, "phone")
    assert (premature.status_code, problem_code(premature)) == (429, "rate_limited")
    assert 0 < int(premature.headers["retry-after"]) <= 60
    advance_time(MINUTE)
    assert resend(person, "phone").status_code == 202
    wait_until(lambda: len(person.messages("phone")) == 2)
    premature = resend(person, "phone")
    assert 60 < int(premature.headers["retry-after"]) <= 120


def test_message_quota_per_day_is_renewed(api: ApiClient, advance_time):
    person = api.sign_up(phone=make_phone("+34602"))
    for minutes in (1, 2):
        advance_time(minutes * MINUTE)
        assert resend(person, "email").status_code == 202
    advance_time(60 * MINUTE)
    late = resend(person, "email")
    assert problem_code(late) == "rate_limited"
    assert 22 * 3600 < int(late.headers["retry-after"]) < 24 * 3600
    second = person.patch({"email": sign_up_payload()["email"]})
    assert problem_code(second) == "rate_limited"
    advance_time(DAY)
    assert resend(person, "email").status_code == 202


def test_messages_to_one_address_are_limited_across_sign_ups(api: ApiClient, cursor, advance_time):
    """The message of a second sign-up waits for the cooldown; the fourth a day fails."""
    body = sign_up_payload(phone=make_phone("+34603"))
    people = [api.sign_up(**body)]
    wait_until(lambda: len(api.mailbox(body["email"])) == 1)
    people.append(api.sign_up(**body | {"phone": make_phone("+34603")}))
    wait_until(lambda: ("pending", "address_cooldown") in get_outcomes(cursor, people[1], "email"))
    assert len(api.mailbox(body["email"])) == 1
    assert get_status(people[1], "email") == "queued"
    advance_time(2 * MINUTE)
    wait_until(lambda: len(api.mailbox(body["email"])) == 2)
    for count in (3, 3):
        advance_time(5 * MINUTE)
        people.append(api.sign_up(**body | {"phone": make_phone("+34604")}))
        wait_until(lambda: get_outcomes(cursor, people[-1], "email")[0][0] in ("done", "failed"))
        assert len(api.mailbox(body["email"])) == count
    assert get_outcomes(cursor, people[-1], "email") == [("failed", "address_quota")]
    assert get_status(people[-1], "email") == "failed"


def test_sign_in_request_in_cooldown_sends_and_reveals_nothing(api: ApiClient, advance_time):
    person = api.sign_up(phone=make_phone("+34605"))
    assert person.confirm("phone").status_code == 200
    address = {"phone": person.body["phone"]}
    responses = [api.post("/api/v1/sessions/", address) for _ in range(3)]
    assert {(first.status_code, first.text) for first in responses} == {(202, responses[0].text)}
    wait_until(lambda: len(person.messages("phone")) == 2)
    advance_time(MINUTE)
    api.post("/api/v1/sessions/", address)
    wait_until(lambda: len(person.messages("phone")) == 3)


def test_sms_quota_per_prefix_holds_under_concurrency(api: ApiClient, cursor):
    people = [api.sign_up(phone=make_phone("+34606")) for _ in range(10)]
    for person in people:
        wait_until(lambda: get_outcomes(cursor, person, "phone")[0][0] in ("done", "failed"))  # noqa: B023  # it is called at once
    reasons = sorted(get_outcomes(cursor, person, "phone")[0] for person in people)
    assert reasons == [("done", "")] * 4 + [("failed", "sms_prefix_quota")] * 6
    assert all(get_outcomes(cursor, person, "email")[0][0] == "done" for person in people)


def test_total_sms_quota_per_day(api: ApiClient, cursor, advance_time):
    cursor.execute("INSERT INTO rollcall_smsprefixstats (prefix, hour_start, sent, converted)"
               " VALUES ('+35100', date_trunc('hour', now()), 1000, 1000)")  # fmt: skip
    person = api.sign_up(phone=make_phone("+34607"))
    wait_until(lambda: get_outcomes(cursor, person, "phone") == [("failed", "sms_quota")])
    advance_time(DAY)
    assert resend(person, "phone").status_code == 202
    wait_until(lambda: person.messages("phone"))


@pytest.mark.parametrize(
    ("confirmed", "end"), [(0, ("failed", "sms_low_conversion")), (1, ("done", ""))]
)
def test_low_conversion_stops_sms_to_a_prefix(api: ApiClient, cursor, confirmed, end):
    prefix = f"+3461{confirmed}"
    cursor.execute(
        "INSERT INTO rollcall_smsprefixstats (prefix, hour_start, sent, converted)"
        " VALUES (%s, date_trunc('hour', now()) - interval '3 hours', 3, %s)",
        [prefix, confirmed],
    )
    person = api.sign_up(phone=make_phone(prefix))
    wait_until(lambda: get_outcomes(cursor, person, "phone")[0][0] in ("done", "failed"))
    assert get_outcomes(cursor, person, "phone") == [end]


def test_conversion_counts_for_the_hour_of_sending(api: ApiClient, cursor):
    for channel in ("phone", "email"):
        person = api.sign_up(phone=make_phone("+34609"))
        assert person.confirm(channel).status_code == 200
        person.message("phone")
    counts = cursor.execute(
        "SELECT sent, converted FROM rollcall_smsprefixstats WHERE prefix = '+34609'"
    )
    assert counts.fetchall() == [(2, 1)]


def test_unsupported_country_is_a_field_error(api: ApiClient):
    response = api.post("/api/v1/signup/", sign_up_payload(phone="+33612345678"))
    assert field_errors(response) == {"phone": "country_not_supported"}
    assert api.post("/api/v1/signup/", sign_up_payload(phone="+351912345678")).status_code == 201
