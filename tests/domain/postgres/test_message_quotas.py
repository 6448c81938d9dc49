"""Cooldowns and quotas of messages."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
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
    "MESSAGES_PER_DAY": "5",
    "MESSAGES_PER_NETWORK_PER_DAY": "3",
    "MESSAGE_COOLDOWN_SECONDS": "60",
    "SMS_PER_DAY": "1000",
    "SMS_TO_OWNERS_PER_DAY": "1000",
    "SMS_PER_NETWORK_PER_DAY": "6",
    "SMS_PER_PREFIX_PER_DAY": "4",
    "TRUSTED_PROXIES": "1",
    "SMS_COUNTRIES": "ES,PT",
    "SMS_CONVERSION_MIN_SAMPLE": "3",
}
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
JITTER = 1.1  # a postponed message is tried again after at most so many times its wait


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
        cursor.execute("UPDATE rollcall_signinchallenge SET created_at = created_at - %s", [time])
        cursor.execute(
            "UPDATE rollcall_ratelimitwindow SET hits ="
            " ARRAY(SELECT hit - %s FROM unnest(hits) AS hit ORDER BY 1)",
            [time],
        )
        cursor.execute(
            "UPDATE rollcall_outboxentry SET due_at = due_at - %s WHERE state = 'pending'", [time]
        )
        cursor.execute("DELETE FROM rollcall_smsprefixstats WHERE hour_start < now() - %s", [DAY])
        cursor.execute("UPDATE rollcall_smsprefixstats SET hour_start = hour_start - %s", [time])

    return advance_time


def resend(person: SignedUpPerson, channel: str) -> httpx.Response:
    return person.request("POST", f"confirmations/{channel}/resend/")


def get_status(person: SignedUpPerson, channel: str) -> str:
    state: dict[str, str] = person.request("GET", "confirmations/").json()[channel]
    return state["status"]


_networks = itertools.count(1)


def new_network() -> dict[str, str]:
    """Returns the header of a request from a network that no other request came from."""
    number = next(_networks)
    return {"X-Forwarded-For": f"198.18.{number >> 8}.{number & 255}"}


def sign_up(api: ApiClient, **fields: Any) -> SignedUpPerson:
    """Signs a person up from a network of their own."""
    response = api.post("/api/v1/signup/", sign_up_payload(**fields), **new_network())
    return SignedUpPerson(api, response)


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


def is_finished(cursor: Any, person: SignedUpPerson, channel: str) -> bool:
    return all(state in ("done", "failed") for state, _ in get_outcomes(cursor, person, channel))


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_cooldown_between_messages_doubles(api: ApiClient, advance_time):
    person = sign_up(api, phone=make_phone("+34601"))
    assert person.message("phone")
    premature = resend(person, "phone")
    assert (premature.status_code, problem_code(premature)) == (429, "rate_limited")
    assert 0 < int(premature.headers["retry-after"]) <= 60
    advance_time(MINUTE)
    assert resend(person, "phone").status_code == 202
    wait_until(lambda: len(person.messages("phone")) == 2)
    premature = resend(person, "phone")
    assert 60 < int(premature.headers["retry-after"]) <= 120


def test_confirmations_of_a_person_per_day_are_renewed(api: ApiClient, advance_time):
    person = sign_up(api, phone=make_phone("+34602"))
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


def test_messages_to_one_address_are_limited_by_network_and_in_total(
    api: ApiClient, cursor, advance_time
):
    """Above a limit they wait; they are given up once they are of no use."""
    email, network = sign_up_payload()["email"], new_network()

    def sign_up_from(network: dict[str, str]) -> SignedUpPerson:
        body = sign_up_payload(email=email, phone=make_phone("+34631"))
        return SignedUpPerson(api, api.post("/api/v1/signup/", body, **network))

    def is_postponed(person: SignedUpPerson) -> bool:
        return get_outcomes(cursor, person, "email") == [("pending", "address_quota")]

    sign_up_from(network)
    wait_until(lambda: len(api.mailbox(email)) == 1)
    second = sign_up_from(network)
    wait_until(lambda: is_postponed(second))
    assert get_status(second, "email") == "queued"
    assert len(api.mailbox(email)) == 1, "the network's cooldown"
    advance_time(JITTER * MINUTE)
    wait_until(lambda: len(api.mailbox(email)) == 2)
    for count in (3, 4, 5):
        sign_up_from(new_network())
        wait_until(lambda: len(api.mailbox(email)) == count)  # noqa: B023  # it is called at once
    sixth = sign_up_from(new_network())
    wait_until(lambda: is_postponed(sixth))
    assert len(api.mailbox(email)) == 5, "five a day in total"
    advance_time(JITTER * DAY)
    wait_until(lambda: is_finished(cursor, sixth, "email"))
    assert get_outcomes(cursor, sixth, "email") == [("done", "")]


def test_sign_in_request_in_cooldown_is_answered_alike_and_waits(api: ApiClient, advance_time):
    person = sign_up(api, phone=make_phone("+34605"))
    assert person.confirm("phone").status_code == 200
    address, network = {"phone": person.body["phone"]}, new_network()
    responses = [api.post("/api/v1/sessions/", address, **network).json() for _ in range(3)]
    assert len({each["challenge"] for each in responses}) == 3
    waits = [parse_time(r["resend_available_at"]) - parse_time(r["expires_at"]) for r in responses]
    seconds = [round(600 + wait.total_seconds()) for wait in waits]
    assert [abs(actual - due) <= 1 for actual, due in zip(seconds, (60, 120, DAY.total_seconds()),
        strict=True)] == [True] * 3  # fmt: skip  # one glance
    wait_until(lambda: len(person.messages("phone")) == 2)
    advance_time(JITTER * MINUTE)
    wait_until(lambda: len(person.messages("phone")) == 3)


def test_owner_signs_in_while_others_have_used_up_the_quota_of_the_address(api: ApiClient, cursor):
    """From a network where a code was entered before; others wait."""
    home = new_network()
    person = sign_up(api, phone=make_phone("+34606"))
    for channel in ("email", "phone"):
        code = {"code": person.message(channel)["code"]}
        path = f"/api/v1/confirmations/{channel}/"
        assert api.post(path, code, **person.bearer, **home).status_code == 200
    for channel in ("email", "phone"):
        address = {channel: person.body[channel]}
        for _ in range(7):
            assert api.post("/api/v1/sessions/", address, **new_network()).status_code == 202
        wait_until(lambda: len(person.messages(channel)) == 6)  # noqa: B023  # it is called at once
        challenge = api.post("/api/v1/sessions/", address, **home).json()["challenge"]
        wait_until(lambda: len(person.messages(channel)) == 7)  # noqa: B023  # it is called at once
        assert api.sign_in(challenge, person.message(channel)["code"]).status_code == 201


def test_sms_quota_per_prefix_holds_under_concurrency(api: ApiClient, cursor, advance_time):
    people = [sign_up(api, phone=make_phone("+34607")) for _ in range(8)]

    def outcomes() -> list[tuple[str, str]]:
        return sorted(get_outcomes(cursor, person, "phone")[0] for person in people)

    due = [("done", "")] * 4 + [("pending", "sms_prefix_quota")] * 4
    wait_until(lambda: outcomes() == due)
    wait_until(lambda: all(get_outcomes(cursor, p, "email")[0][0] == "done" for p in people))
    advance_time(DAY)
    wait_until(lambda: outcomes() == [("done", "")] * 8)


def test_sms_of_one_network_per_day_are_limited(api: ApiClient, cursor):
    network = new_network()
    people = []
    for prefix in ("+34611", "+34612", "+34613", "+34614", "+34615", "+34616", "+34617"):
        body = sign_up_payload(phone=make_phone(prefix))
        people.append(SignedUpPerson(api, api.post("/api/v1/signup/", body, **network)))
    due = [("done", "")] * 6 + [("pending", "sms_network_quota")]
    wait_until(lambda: sorted(get_outcomes(cursor, p, "phone")[0] for p in people) == due)
    other = sign_up(api, phone=make_phone("+34611"))
    wait_until(lambda: get_outcomes(cursor, other, "phone") == [("done", "")])


def test_total_sms_quota_leaves_that_of_owners(api: ApiClient, cursor, advance_time):
    owner = sign_up(api, phone=make_phone("+34618"))
    assert owner.confirm("phone").status_code == 200
    cursor.execute("INSERT INTO rollcall_smsprefixstats (prefix, hour_start, sent, converted)"
               " VALUES ('+35100', date_trunc('hour', now()), 1000, 1000)")  # fmt: skip
    person = sign_up(api, phone=make_phone("+34618"))
    wait_until(lambda: get_outcomes(cursor, person, "phone") == [("pending", "sms_quota")])
    challenge = api.post("/api/v1/sessions/", {"phone": owner.body["phone"]}, **new_network())
    wait_until(lambda: len(owner.messages("phone")) == 2)
    code = owner.message("phone")["code"]
    assert api.sign_in(challenge.json()["challenge"], code).status_code == 201
    advance_time(DAY)
    wait_until(lambda: person.messages("phone"))


def test_sms_to_owners_have_one_quota_for_known_networks_and_one_for_others(api: ApiClient, cursor):
    """Else verified numbers of a few people could receive any number of text messages a day."""
    home = new_network()
    owner = sign_up(api, phone=make_phone("+34619"))
    code = {"code": owner.message("phone")["code"]}
    api.post("/api/v1/confirmations/phone/", code, **owner.bearer, **home)
    cursor.execute("INSERT INTO rollcall_smsprefixstats (prefix, hour_start, sent, converted)"
               " VALUES ('(known)', date_trunc('hour', now()), 1000, 0)")  # fmt: skip
    address = {"phone": owner.body["phone"]}
    api.post("/api/v1/sessions/", address, **home)
    reason = (
        "SELECT reason_code FROM rollcall_outboxentry WHERE person_id = %s AND state = 'failed'"
    )
    wait_until(lambda: cursor.execute(reason, [owner.id]).fetchall() == [("sms_owner_quota",)])
    api.post("/api/v1/sessions/", address, **new_network())
    wait_until(lambda: len(owner.messages("phone")) == 2)
    cursor.execute("DELETE FROM rollcall_smsprefixstats WHERE prefix = '(known)'")


@pytest.mark.parametrize(
    ("confirmed", "end"), [(0, ("pending", "sms_low_conversion")), (1, ("done", ""))]
)
def test_low_conversion_delays_sign_ups_of_a_prefix_but_no_owner(
    api: ApiClient, cursor, confirmed, end
):
    prefix = f"+3462{confirmed}"
    owner = sign_up(api, phone=make_phone(prefix))
    assert owner.confirm("phone").status_code == 200
    cursor.execute(
        "INSERT INTO rollcall_smsprefixstats (prefix, hour_start, sent, codes_sent, converted)"
        " VALUES (%s, date_trunc('hour', now()) - interval '3 hours', 0, 3, %s)",
        [prefix, confirmed],
    )
    person = sign_up(api, phone=make_phone(prefix))
    wait_until(lambda: get_outcomes(cursor, person, "phone") == [end])
    api.post("/api/v1/sessions/", {"phone": owner.body["phone"]}, **new_network())
    wait_until(lambda: len(owner.messages("phone")) == 2)


def test_conversion_counts_codes_only_for_the_hour_of_sending(api: ApiClient, cursor):
    """Notices to the owner of a number cannot be confirmed, so they are no codes."""
    phone = make_phone("+34609")
    owner, other = sign_up(api, phone=phone), sign_up(api, phone=make_phone("+34609"))
    assert owner.confirm("phone").status_code == 200
    assert other.confirm("email").status_code == 200
    sign_up(api, phone=phone)
    wait_until(lambda: len(api.mailbox(phone)) == 2)
    counts = cursor.execute(
        "SELECT sent, codes_sent, converted FROM rollcall_smsprefixstats WHERE prefix = '+34609'"
    )
    assert counts.fetchall() == [(3, 2, 1)]


def test_notice_of_an_address_change_has_a_quota_of_its_own(api: ApiClient, cursor):
    """A thief who holds a session cannot use it up with sign-ups first."""
    owner = sign_up(api, phone=make_phone("+34632"))
    for channel in ("email", "phone"):
        assert owner.confirm(channel).status_code == 200
    for _ in range(6):
        body = sign_up_payload(email=owner.body["email"], phone=make_phone("+34633"))
        api.post("/api/v1/signup/", body, **new_network())
    wait_until(lambda: len(owner.messages("email")) == 6)
    assert owner.patch({"email": sign_up_payload()["email"]}, **new_network()).status_code == 200
    wait_until(lambda: "to change" in owner.message("email")["subject"])
    assert wait_until(lambda: "another e-mail address" in owner.message("phone")["text"])


def test_unsupported_country_is_a_field_error(api: ApiClient):
    response = api.post("/api/v1/signup/", sign_up_payload(phone="+33612345678"))
    assert field_errors(response) == {"phone": "country_not_supported"}
    assert api.post("/api/v1/signup/", sign_up_payload(phone="+351912345678")).status_code == 201
