"""Expiry: codes, links, sessions and keys expire, and are purged from Postgres and Redis."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("django_db_access")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def advance_time(time: timedelta, person: SignedUpPerson) -> None:
    from tests.support import clock

    person.wait_for_outbox()
    clock.advance_time(time, person.id)


def run_purge() -> None:
    """Runs the purge, as the workers do every ten minutes."""
    from workers import tasks

    tasks.purge_expired()


@pytest.mark.parametrize(("channel", "minutes"), [("email", 15), ("phone", 10)])
def test_code_expires_after_its_lifetime(api: ApiClient, channel, minutes):
    person = api.sign_up()
    code = person.message(channel)["code"]
    advance_time((minutes - 1) * MINUTE, person)
    premature = api.sign_up()
    advance_time(MINUTE, person)
    assert problem_code(person.confirm(channel, code)) == "code_expired"
    code = premature.message(channel)["code"]
    advance_time((minutes - 1) * MINUTE, premature)
    assert premature.confirm(channel, code).status_code == 200


def test_link_expires_after_24_hours(api: ApiClient):
    for hours, status in ((23, 200), (24, 400)):
        person = api.sign_up()
        token = person.message("email")["link"].partition("#")[2]
        advance_time(hours * HOUR, person)
        response = api.post("/api/v1/confirmations/email/", {"token": token})
        assert response.status_code == status


def test_session_expires_after_30_days_for_reads_and_writes(api: ApiClient):
    person = api.sign_up()
    advance_time(30 * DAY - MINUTE, person)
    assert person.profile().status_code == person.patch({}).status_code == 200
    advance_time(MINUTE, person)
    assert problem_code(person.profile()) == problem_code(person.patch({})) == "invalid_token"


def test_sign_in_code_expires_after_ten_minutes(api: ApiClient):
    for minutes, status in ((9, 201), (10, 400)):
        person = api.sign_up()
        person.confirm("phone")
        challenge, code = person.request_code("phone")
        from domain.postgres.models import SignInChallenge
        from tests.support import clock

        wait_until(SignInChallenge.objects.filter(person_id=person.id, outbox__state="done").exists)
        clock.advance_time(minutes * MINUTE, person.id)
        assert api.sign_in(challenge, code).status_code == status


def test_idempotency_key_replays_for_10_minutes_and_expires_in_a_day(api: ApiClient):
    body = sign_up_payload()
    key = {"Idempotency-Key": f"for-the-time-being-{body['phone']}"}
    first = SignedUpPerson(api, api.post("/api/v1/signup/", body, **key))
    advance_time(9 * MINUTE, first)
    assert api.post("/api/v1/signup/", body, **key).json()["id"] == first.id
    advance_time(MINUTE, first)
    assert problem_code(api.post("/api/v1/signup/", body, **key)) == "idempotency_closed"
    advance_time(DAY, first)
    assert api.post("/api/v1/signup/", body, **key).json()["id"] != first.id


def test_failed_attempts_expire_after_a_day(api: ApiClient):
    from tests.support import clock

    person = api.sign_up()
    assert person.confirm("email").status_code == 200
    for _ in range(3):
        challenge, _ = person.request_code()
        for _ in range(5):
            assert problem_code(api.sign_in(challenge, "0")) == "validation_failed"
            assert problem_code(api.sign_in(challenge, "0000000000")) == "code_invalid"
    assert len(person.request_code()[1]) == 10
    clock.advance_rate_limits(DAY)
    assert len(person.request_code()[1]) == 6


def test_unverified_person_is_purged_after_seven_days(api: ApiClient):
    from domain.postgres.models import Confirmation, Person, Session, Tombstone
    from domain.profile import redis_key
    from tests.support.profile_redis import get_client

    premature, later, confirmed = (api.sign_up() for _ in range(3))
    assert confirmed.confirm("phone").status_code == 200
    for person, days in ((premature, 6), (later, 7), (confirmed, 7)):
        advance_time(days * DAY, person)
    run_purge()
    assert wait_until(Tombstone.objects.filter(id=later.id).exists)
    for table in (Session, Confirmation):
        assert not table.objects.filter(person_id=later.id).exists()
    assert wait_until(lambda: get_client().hget(redis_key(UUID(later.id)), b"b") == b"")
    assert problem_code(later.profile()) == "invalid_token"
    assert Person.objects.filter(id__in=[premature.id, confirmed.id]).count() == 2
    assert premature.profile().status_code == confirmed.profile().status_code == 200


def test_expired_rows_are_purged(api: ApiClient):
    from domain.postgres.models import (
        Confirmation,
        IdempotencyKey,
        OutboxEntry,
        Session,
        SignInChallenge,
    )
    from tests.support import clock

    body = sign_up_payload()
    key = {"Idempotency-Key": f"for-the-time-being-{body['phone']}"}
    person = SignedUpPerson(api, api.post("/api/v1/signup/", body, **key))
    person.confirm("phone")
    person.sign_in("phone")
    person.confirm("email", "000000")
    person.request("POST", "confirmations/email/resend/")
    advance_time(31 * DAY, person)
    clock.advance_rate_limits(DAY)
    run_purge()
    own = {"person_id": person.id}
    wait_until(lambda: not Session.objects.filter(**own).exists())
    for table in (SignInChallenge, IdempotencyKey, OutboxEntry):
        wait_until(lambda: not table.objects.filter(**own).exists())  # noqa: B023  # it is called at once
    assert Confirmation.objects.filter(**own, superseded_at__isnull=False).count() == 0
    assert Confirmation.objects.filter(**own).count() == 2
