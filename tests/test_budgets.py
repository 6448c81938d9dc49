"""Pauses between messages and budgets of them: what costs money or a person's patience."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from local.product import rollcall_commands
from local.stack import Stack
from tests.someone import Rollcall, Someone, code_of, eventually, new_body, wrong_fields

LIMITS = {
    "MESSAGES_A_DAY": "3",
    "MESSAGE_PAUSE": "60",
    "SMS_A_DAY": "1000",
    "SMS_A_DAY_PREFIX": "4",
    "SMS_COUNTRIES": "ES,PT",
    "SMS_BREAKER_LEAST": "3",
}
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of its own, with tight limits."""
    env = {"DJANGO_SETTINGS_MODULE": "settings.test", "OUTBOX_LEASE": "2", **LIMITS}
    with Stack(
        tmp_path_factory.mktemp("tight"),
        env=env,
        durable=False,
        commands=partial(rollcall_commands, workers=1),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def db(stack: Stack) -> Iterator[Any]:
    """A cursor on that service's Postgres."""
    import psycopg

    url = stack.environment()["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def rollcall(stack: Stack) -> Iterator[Rollcall]:
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield Rollcall(client)


@pytest.fixture
def let_pass(db: Any) -> Any:
    """Date everything that limits look at back."""

    def let_pass(time: timedelta) -> None:
        db.execute("UPDATE stores_confirmation SET created_at = created_at - %s", [time])
        db.execute(
            "UPDATE stores_tally SET moments ="
            " ARRAY(SELECT moment - %s FROM unnest(moments) AS moment ORDER BY 1)",
            [time],
        )
        db.execute("UPDATE stores_outbox SET due_at = due_at - %s WHERE state = 'waiting'", [time])
        db.execute("UPDATE stores_textmessages SET hour = hour - %s", [time])

    return let_pass


def resend(someone: Someone, channel: str) -> httpx.Response:
    return someone.call("POST", f"confirmations/{channel}/resend/")


def status(someone: Someone, channel: str) -> str:
    state: dict[str, str] = someone.call("GET", "confirmations/").json()[channel]
    return state["status"]


def number(prefix: str) -> str:
    return prefix + str(new_body()["phone"])[len(prefix) :]


def ends(db: Any, someone: Someone, channel: str) -> list[tuple[str, str]]:
    """State and reason of the outbox rows of somebody's messages on a channel, oldest first."""
    rows = db.execute(
        "SELECT o.state, o.reason FROM stores_outbox o JOIN stores_confirmation c"
        " ON c.id = o.confirmation_id WHERE o.person_id = %s AND c.channel = %s ORDER BY o.id",
        [someone.id, channel],
    )
    found: list[tuple[str, str]] = rows.fetchall()
    return found


def test_cooldown_between_messages_doubles(rollcall: Rollcall, let_pass):
    someone = rollcall.sign_up(phone=number("+34601"))
    assert someone.message("phone")
    early = resend(someone, "phone")
    assert (early.status_code, code_of(early)) == (429, "rate_limited")
    assert 0 < int(early.headers["retry-after"]) <= 60
    let_pass(MINUTE)
    assert resend(someone, "phone").status_code == 202
    eventually(lambda: len(someone.messages("phone")) == 2)
    early = resend(someone, "phone")
    assert 60 < int(early.headers["retry-after"]) <= 120


def test_message_quota_per_day_is_renewed(rollcall: Rollcall, let_pass):
    someone = rollcall.sign_up(phone=number("+34602"))
    for minutes in (1, 2):
        let_pass(minutes * MINUTE)
        assert resend(someone, "email").status_code == 202
    let_pass(60 * MINUTE)
    late = resend(someone, "email")
    assert code_of(late) == "rate_limited"
    assert 22 * 3600 < int(late.headers["retry-after"]) < 24 * 3600
    again = someone.patch({"email": new_body()["email"]})
    assert code_of(again) == "rate_limited"
    let_pass(DAY)
    assert resend(someone, "email").status_code == 202


def test_messages_to_one_address_are_limited_across_sign_ups(rollcall: Rollcall, db, let_pass):
    """A second sign-up's message waits for the pause; the fourth a day fails, and says so."""
    body = new_body(phone=number("+34603"))
    people = [rollcall.sign_up(**body)]
    eventually(lambda: len(rollcall.mailbox(body["email"])) == 1)
    people.append(rollcall.sign_up(**body | {"phone": number("+34603")}))
    eventually(lambda: ("waiting", "address_pause") in ends(db, people[1], "email"))
    assert len(rollcall.mailbox(body["email"])) == 1
    assert status(people[1], "email") == "queued"
    let_pass(2 * MINUTE)
    eventually(lambda: len(rollcall.mailbox(body["email"])) == 2)
    for count in (3, 3):
        let_pass(5 * MINUTE)
        people.append(rollcall.sign_up(**body | {"phone": number("+34604")}))
        eventually(lambda: ends(db, people[-1], "email")[0][0] in ("done", "failed"))
        assert len(rollcall.mailbox(body["email"])) == count
    assert ends(db, people[-1], "email") == [("failed", "address_budget")]
    assert status(people[-1], "email") == "failed"


def test_sign_in_request_in_cooldown_sends_and_reveals_nothing(
    rollcall: Rollcall, let_pass
):
    someone = rollcall.sign_up(phone=number("+34605"))
    assert someone.confirm("phone").status_code == 200
    address = {"phone": someone.body["phone"]}
    answers = [rollcall.post("/api/v1/sessions/", address) for _ in range(3)]
    assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
    eventually(lambda: len(someone.messages("phone")) == 2)
    let_pass(MINUTE)
    rollcall.post("/api/v1/sessions/", address)
    eventually(lambda: len(someone.messages("phone")) == 3)


def test_sms_quota_per_prefix_holds_under_concurrency(
    rollcall: Rollcall, db
):
    people = [rollcall.sign_up(phone=number("+34606")) for _ in range(10)]
    for someone in people:
        eventually(lambda: ends(db, someone, "phone")[0][0] in ("done", "failed"))  # noqa: B023  # it is called at once
    reasons = sorted(ends(db, someone, "phone")[0] for someone in people)
    assert reasons == [("done", "")] * 4 + [("failed", "sms_budget_prefix")] * 6
    assert all(ends(db, someone, "email")[0][0] == "done" for someone in people)


def test_total_sms_quota_per_day(rollcall: Rollcall, db, let_pass):
    db.execute("INSERT INTO stores_textmessages (prefix, hour, sent, confirmed)"
               " VALUES ('+35100', date_trunc('hour', now()), 1000, 1000)")  # fmt: skip
    someone = rollcall.sign_up(phone=number("+34607"))
    eventually(lambda: ends(db, someone, "phone") == [("failed", "sms_budget")])
    let_pass(DAY)
    assert resend(someone, "phone").status_code == 202
    eventually(lambda: someone.messages("phone"))


@pytest.mark.parametrize(("confirmed", "end"), [(0, ("failed", "sms_breaker")), (1, ("done", ""))])
def test_low_conversion_stops_sms_to_a_prefix(
    rollcall: Rollcall, db, confirmed, end
):
    prefix = f"+3461{confirmed}"
    db.execute(
        "INSERT INTO stores_textmessages (prefix, hour, sent, confirmed)"
        " VALUES (%s, date_trunc('hour', now()) - interval '3 hours', 3, %s)",
        [prefix, confirmed],
    )
    someone = rollcall.sign_up(phone=number(prefix))
    eventually(lambda: ends(db, someone, "phone")[0][0] in ("done", "failed"))
    assert ends(db, someone, "phone") == [end]


def test_conversion_counts_for_the_hour_of_sending(rollcall: Rollcall, db):
    for channel in ("phone", "email"):
        someone = rollcall.sign_up(phone=number("+34609"))
        assert someone.confirm(channel).status_code == 200
        someone.message("phone")
    counts = db.execute("SELECT sent, confirmed FROM stores_textmessages WHERE prefix = '+34609'")
    assert counts.fetchall() == [(2, 1)]


def test_unsupported_country_is_a_field_error(rollcall: Rollcall):
    answer = rollcall.post("/api/v1/signup/", new_body(phone="+33612345678"))
    assert wrong_fields(answer) == {"phone": "country_not_served"}
    assert rollcall.post("/api/v1/signup/", new_body(phone="+351912345678")).status_code == 201
