"""Confirming an address: by code, by link, wrongly, twice, and by many at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import psycopg
import pytest

from local.stack import Stack
from tests.someone import Rollcall, Someone, code_of, eventually, wrong_fields

CHANNELS = ["email", "phone"]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def by_link(rollcall: Rollcall, token: str) -> httpx.Response:
    return rollcall.post("/api/v1/confirmations/email/", {"token": token})


def link_token(someone: Someone) -> str:
    token: str = someone.message("email")["link"].partition("#")[2]
    return token


@pytest.mark.parametrize("channel", CHANNELS)
def test_valid_code_confirms_and_updates_the_profile_at_once(rollcall: Rollcall, channel):
    someone = rollcall.sign_up()
    answer = someone.confirm(channel)
    assert answer.status_code == 200
    assert answer.json() == {f"{channel}_verified": True}
    verified = {c: someone.profile().json()[f"{c}_verified"] for c in CHANNELS}
    assert verified == {c: c == channel for c in CHANNELS}


@pytest.mark.parametrize("channel", CHANNELS)
def test_repeated_confirmation_succeeds(rollcall: Rollcall, channel):
    someone = rollcall.sign_up()
    assert [someone.confirm(channel).status_code for _ in range(8)] == [200] * 8


def test_link_confirms_repeatedly_without_a_session(rollcall: Rollcall):
    someone = rollcall.sign_up()
    for _ in range(2):
        answer = by_link(rollcall, link_token(someone))
        assert answer.status_code == 200
        assert answer.json() == {"email_verified": True}
    assert someone.profile().json()["email_verified"]


def test_spaces_in_code_are_ignored(rollcall: Rollcall):
    someone = rollcall.sign_up()
    code = someone.message("phone")["code"]
    assert someone.confirm("phone", f" {code[:3]} {code[3:]} ").status_code == 200


@pytest.mark.parametrize("channel", CHANNELS)
def test_invalid_code_confirms_nothing(rollcall: Rollcall, channel):
    someone = rollcall.sign_up()
    answer = someone.confirm(channel, wrong(someone.message(channel)["code"]))
    assert answer.status_code == 400
    assert code_of(answer) == "code_invalid"
    assert not someone.profile().json()[f"{channel}_verified"]


def test_valid_code_is_rejected_after_five_failed_attempts(rollcall: Rollcall):
    someone = rollcall.sign_up()
    code = someone.message("phone")["code"]
    for _ in range(5):
        assert code_of(someone.confirm("phone", wrong(code))) == "code_invalid"
    answer = someone.confirm("phone", code)
    assert answer.status_code == 429
    assert code_of(answer) == "too_many_attempts"
    assert 500 < int(answer.headers["retry-after"]) <= 600
    assert not someone.profile().json()["phone_verified"]


def test_code_of_another_channel_or_person_confirms_nothing(rollcall: Rollcall):
    someone, other = rollcall.sign_up(), rollcall.sign_up()
    codes = {someone.message("email")["code"], other.message("phone")["code"]}
    for code in codes - {someone.message("phone")["code"]}:
        assert code_of(someone.confirm("phone", code)) == "code_invalid"


@pytest.mark.parametrize("channel", CHANNELS)
def test_code_expires_after_sending_and_not_while_queued(
    django_here, rollcall: Rollcall, channel
):
    from django.db.models import F

    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    code = someone.message(channel)["code"]
    row = Confirmation.objects.filter(person_id=someone.answer.json()["id"], channel=channel)
    row.update(created_at=F("created_at") - timedelta(days=3))  # it waited that long
    lifetime = timedelta(minutes=15 if channel == "email" else 10)
    row.update(first_sent_at=F("first_sent_at") - lifetime)
    answer = someone.confirm(channel, code)
    assert answer.status_code == 400
    assert code_of(answer) == "code_expired"
    row.update(first_sent_at=F("first_sent_at") + timedelta(minutes=1))
    assert someone.confirm(channel, code).status_code == 200


def test_link_is_valid_for_24_hours(django_here, rollcall: Rollcall):
    from django.db.models import F

    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    token = link_token(someone)
    row = Confirmation.objects.filter(person_id=someone.answer.json()["id"], channel="email")
    row.update(first_sent_at=F("first_sent_at") - timedelta(hours=24))
    assert code_of(by_link(rollcall, token)) == "code_expired"
    row.update(first_sent_at=F("first_sent_at") + timedelta(minutes=5))
    assert by_link(rollcall, token).status_code == 200


def test_truncated_or_altered_link_token_confirms_nothing(rollcall: Rollcall):
    someone = rollcall.sign_up()
    token = link_token(someone)
    turned = [
        token[:at] + ("A" if c != "A" else "B") + token[at + 1 :] for at, c in enumerate(token)
    ]
    for bad in [*turned, token[:-1], token + "A", "A" * 43, "_" * 43, "x"]:
        assert code_of(by_link(rollcall, bad)) == "code_invalid"
    assert not someone.profile().json()["email_verified"]


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "12 34"]
)
def test_malformed_code_is_a_field_error_and_no_attempt(rollcall: Rollcall, code):
    someone = rollcall.sign_up()
    right = someone.message("phone")["code"]
    for _ in range(6):
        answer = rollcall.post("/api/v1/confirmations/phone/", {"code": code}, **someone.bearer)
        assert wrong_fields(answer) == {"code": "invalid"}
    assert someone.confirm("phone", right).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"code": "either_code_or_token"}),
        ({"code": "123456", "token": "x"}, {"code": "either_code_or_token"}),
        ({"code": 123456}, {"code": "not_a_string"}),
        ({"code": None}, {"code": "null"}),
        ({"token": {}}, {"token": "not_a_string"}),
        ({"token": ""}, {"token": "invalid"}),
        ({"token": "\u0000\u00e9" * 300}, {"token": "invalid"}),
        ({"pin": "123456"}, {"pin": "unknown_field"}),
    ],
)
def test_invalid_email_confirmation_reports_its_fields(rollcall: Rollcall, body, fields):
    answer = rollcall.post("/api/v1/confirmations/email/", body, **rollcall.sign_up().bearer)
    assert wrong_fields(answer) == fields


@pytest.mark.parametrize("channel", CHANNELS)
def test_code_without_a_session_is_rejected(rollcall: Rollcall, channel):
    answer = rollcall.post(f"/api/v1/confirmations/{channel}/", {"code": "123456"})
    assert answer.status_code == 401
    assert code_of(answer) == "invalid_token"


def test_concurrent_valid_codes_confirm_once(
    stack, django_here, rollcall: Rollcall
):
    from domain.stores.models import Outbox, Person

    someone = rollcall.sign_up()
    code = someone.message("phone")["code"]
    person_id = someone.answer.json()["id"]
    outbox = Outbox.objects.filter(person_id=person_id, kind="profile")
    rows = outbox.count()
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: confirm_alone(stack.url, someone, code), range(50)))
    # A try is counted before it is looked at, so those beyond the fifth may be told to wait.
    assert set(answers) <= {200, 429}
    assert 200 in answers
    assert Person.objects.get(id=person_id).version == 2
    assert outbox.count() == rows + 1
    assert someone.confirm("phone", code).status_code == 200


def test_concurrent_invalid_codes_are_limited_to_five_attempts(stack, django_here, rollcall: Rollcall):
    from domain.stores.models import Confirmation

    someone = rollcall.sign_up()
    code = wrong(someone.message("phone")["code"])
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: confirm_alone(stack.url, someone, code), range(50)))
    assert sorted(answers) == [400] * 5 + [429] * 45
    row = Confirmation.objects.get(person_id=someone.answer.json()["id"], channel="phone")
    assert row.tries == 5


def test_address_belongs_to_the_first_who_confirms_it(rollcall: Rollcall):
    owner = rollcall.sign_up()
    rival = rollcall.sign_up(email=owner.body["email"].upper())
    codes = {m["code"] for m in rollcall.mailbox(rival.body["email"])}
    assert owner.confirm("email").status_code == 200
    for code in codes:
        assert code_of(rival.confirm("email", code)) == "code_invalid"
    assert not rival.profile().json()["email_verified"]
    assert rival.profile().json()["email"] == rival.body["email"]
    assert rival.confirm("phone").status_code == 200


def test_one_of_20_concurrent_confirmations_of_an_address_succeeds(
    stack, django_here, rollcall: Rollcall
):
    first = rollcall.sign_up()
    people = [first, *(rollcall.sign_up(phone=first.body["phone"]) for _ in range(19))]
    # Their messages go to one telephone; only the derivation tells whose code is whose.
    own = codes_by_derivation([s.answer.json()["id"] for s in people])
    with ThreadPoolExecutor(20) as clients:
        statuses = list(
            clients.map(lambda s: confirm_alone(stack.url, s, own[s.answer.json()["id"]]), people)
        )
    assert sorted(set(statuses)) == [200, 400]
    assert statuses.count(200) == 1


def codes_by_derivation(ids: list[str]) -> dict[str, str]:
    from domain.code import code_for
    from domain.stores import keys
    from domain.stores.models import Confirmation
    from domain.stores.units.confirmations import seed_of

    rows = Confirmation.objects.filter(person_id__in=ids, channel="phone")
    return {str(row.person_id): code_for(keys.ring(), seed_of(row)) or "" for row in rows}


def confirm_alone(url: str, someone: Someone, code: str) -> int:
    answer = httpx.post(
        f"{url}/api/v1/confirmations/phone/",
        json={"code": code},
        headers=someone.bearer,
        timeout=30,
    )
    return answer.status_code


def test_status_is_consistent_during_a_concurrent_confirmation(stack: Stack, rollcall: Rollcall):
    """It is asked for first, and then the confirmation's transaction ends."""
    someone = rollcall.sign_up()
    url = stack.environment()["DATABASE_URL"]
    with ThreadPoolExecutor(1) as client, psycopg.connect(url) as confirming:
        confirming.execute("LOCK TABLE stores_confirmation")
        asked = client.submit(someone.call, "GET", "confirmations/")
        waits = (
            "SELECT FROM pg_locks WHERE NOT granted AND relation = 'stores_confirmation'::regclass"
        )
        eventually(lambda: confirming.execute(waits).rowcount)
        confirming.execute(
            "UPDATE stores_confirmation SET confirmed_at = now()"
            " WHERE person_id = %s AND channel = 'email'",
            [someone.id],
        )
        confirming.execute(
            "UPDATE stores_person SET email_verified_at = now() WHERE id = %s", [someone.id]
        )
        confirming.commit()
        assert asked.result().json()["email"]["status"] == "confirmed"
