"""Time goes on: what should end does, and what has ended is purged from Postgres and Redis."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.someone import Rollcall, Someone, code_of, eventually, new_body

pytestmark = pytest.mark.usefixtures("django_here")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def let_pass(time: timedelta, someone: Someone) -> None:
    from tests import clock

    someone.settled()
    clock.let_pass(time, someone.id)


def purge() -> None:
    """Have the workers purge, as they do every ten minutes."""
    from workers import tasks

    tasks.purge_all()


@pytest.mark.parametrize(("channel", "minutes"), [("email", 15), ("phone", 10)])
def test_code_expires_after_its_lifetime(rollcall: Rollcall, channel, minutes):
    someone = rollcall.sign_up()
    code = someone.message(channel)["code"]
    let_pass((minutes - 1) * MINUTE, someone)
    early = rollcall.sign_up()
    let_pass(MINUTE, someone)
    assert code_of(someone.confirm(channel, code)) == "code_expired"
    code = early.message(channel)["code"]
    let_pass((minutes - 1) * MINUTE, early)
    assert early.confirm(channel, code).status_code == 200


def test_link_expires_after_24_hours(rollcall: Rollcall):
    for hours, status in ((23, 200), (24, 400)):
        someone = rollcall.sign_up()
        token = someone.message("email")["link"].partition("#")[2]
        let_pass(hours * HOUR, someone)
        answer = rollcall.post("/api/v1/confirmations/email/", {"token": token})
        assert answer.status_code == status


def test_session_expires_after_30_days_for_reads_and_writes(rollcall: Rollcall):
    someone = rollcall.sign_up()
    let_pass(30 * DAY - MINUTE, someone)
    assert someone.profile().status_code == someone.patch({}).status_code == 200
    let_pass(MINUTE, someone)
    assert code_of(someone.profile()) == code_of(someone.patch({})) == "invalid_token"


def test_sign_in_code_expires_after_ten_minutes(rollcall: Rollcall):
    for minutes, status in ((9, 201), (10, 400)):
        someone = rollcall.sign_up()
        someone.confirm("phone")
        rollcall.post("/api/v1/sessions/", {"phone": someone.body["phone"]})
        eventually(lambda: "sign-in" in rollcall.mailbox(someone.body["phone"])[0]["text"])  # noqa: B023  # it is called at once
        code = someone.message("phone")["code"]
        from domain.stores.models import SignIn
        from tests import clock

        eventually(SignIn.objects.filter(person_id=someone.id, outbox__state="done").exists)
        clock.let_pass(minutes * MINUTE, someone.id)
        assert rollcall.sign_in("phone", someone.body["phone"], code).status_code == status


def test_idempotency_key_replays_for_10_minutes_and_expires_in_a_day(rollcall: Rollcall):
    body = new_body()
    key = {"Idempotency-Key": f"for-the-time-being-{body['phone']}"}
    first = Someone(rollcall, rollcall.post("/api/v1/signup/", body, **key))
    let_pass(9 * MINUTE, first)
    assert rollcall.post("/api/v1/signup/", body, **key).json()["id"] == first.id
    let_pass(MINUTE, first)
    assert code_of(rollcall.post("/api/v1/signup/", body, **key)) == "idempotency_closed"
    let_pass(DAY, first)
    assert rollcall.post("/api/v1/signup/", body, **key).json()["id"] != first.id


def test_failed_attempts_expire_after_a_day(rollcall: Rollcall):
    from tests import clock

    someone = rollcall.sign_up()
    for _ in range(3):
        for _ in range(5):
            someone.confirm("phone", "000000")
        someone.call("POST", "confirmations/phone/resend/")
    assert code_of(someone.confirm("phone", "000000")) == "too_many_attempts"
    clock.let_tallies_pass(DAY)
    assert code_of(someone.confirm("phone", "000000")) == "code_invalid"


def test_unverified_person_is_purged_after_seven_days(rollcall: Rollcall):
    from domain.profile import key_of
    from domain.stores.models import Confirmation, Gone, Person, Session
    from domain.stores.profiles import redis

    early, late, confirmed = (rollcall.sign_up() for _ in range(3))
    assert confirmed.confirm("phone").status_code == 200
    for someone, days in ((early, 6), (late, 7), (confirmed, 7)):
        let_pass(days * DAY, someone)
    purge()
    assert eventually(Gone.objects.filter(id=late.id).exists)
    for table in (Session, Confirmation):
        assert not table.objects.filter(person_id=late.id).exists()
    assert eventually(lambda: redis().hget(key_of(UUID(late.id)), b"b") == b"")
    assert code_of(late.profile()) == "invalid_token"
    assert Person.objects.filter(id__in=[early.id, confirmed.id]).count() == 2
    assert early.profile().status_code == confirmed.profile().status_code == 200


def test_expired_rows_are_purged(rollcall: Rollcall):
    from domain.stores.models import Confirmation, IdempotencyKey, Outbox, Session, SignIn
    from tests import clock

    body = new_body()
    key = {"Idempotency-Key": f"for-the-time-being-{body['phone']}"}
    someone = Someone(rollcall, rollcall.post("/api/v1/signup/", body, **key))
    someone.confirm("phone")
    someone.sign_in("phone")
    someone.confirm("email", "000000")
    someone.call("POST", "confirmations/email/resend/")
    let_pass(31 * DAY, someone)
    clock.let_tallies_pass(DAY)
    purge()
    mine = {"person_id": someone.id}
    eventually(lambda: not Session.objects.filter(**mine).exists())
    for table in (SignIn, IdempotencyKey, Outbox):
        eventually(lambda: not table.objects.filter(**mine).exists())  # noqa: B023  # it is called at once
    assert Confirmation.objects.filter(**mine, ended_at__isnull=False).count() == 0
    assert Confirmation.objects.filter(**mine).count() == 2
