"""The handler of confirmations: messages that wait, and workers that have the same entry."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.workers import replaceable_worker

pytestmark = pytest.mark.usefixtures("django_db_access")


def get_entries(person: SignedUpPerson, channel: str) -> Any:
    from domain.postgres.models import OutboxEntry

    return OutboxEntry.objects.filter(
        person_id=person.id, kind="confirmation", confirmation__channel=channel
    )


def get_outcomes(person: SignedUpPerson, channel: str) -> list[tuple[str, str]]:
    rows = get_entries(person, channel).order_by("id")
    outcomes: list[tuple[str, str]] = list(rows.values_list("state", "reason_code"))
    return outcomes


WAITS = [("pending", "email_not_confirmed")]


@pytest.fixture(scope="class")
def sms_after_email(stack: Stack) -> Iterator[None]:
    with replaceable_worker(stack) as use:
        use(SMS_AFTER_EMAIL="1")
        yield


@pytest.fixture
def no_worker(stack: Stack) -> Iterator[None]:
    stack.services["worker"].kill()
    yield
    stack.services["worker"].start()


@pytest.mark.usefixtures("sms_after_email")
class TestSmsAfterEmail:
    """Text messages of sign-ups wait for the e-mail's confirmation."""

    @pytest.mark.parametrize("by_link", [False, True], ids=["code", "link"])
    def test_text_message_goes_out_once_the_email_is_confirmed(self, api: ApiClient, by_link):
        person = api.sign_up()
        email = person.message("email")
        wait_until(lambda: get_outcomes(person, "phone") == WAITS)
        assert get_outcomes(person, "email") == [("done", "")]
        assert person.request("GET", "confirmations/").json()["phone"]["status"] == "queued"
        if by_link:
            token = {"token": email["link"].partition("#")[2]}
            assert api.post("/api/v1/confirmations/email/", token).status_code == 200
        else:
            assert person.confirm("email").status_code == 200
        wait_until(lambda: person.messages("phone"), timeout=5)  # it would be checked in a day
        assert person.confirm("phone").status_code == 200

    def test_resent_text_message_waits_too(self, api: ApiClient):
        person = api.sign_up()
        wait_until(lambda: get_outcomes(person, "phone") == WAITS)
        assert person.request("POST", "confirmations/phone/resend/").status_code == 202
        wait_until(lambda: get_outcomes(person, "phone") == WAITS * 2)
        assert person.confirm("email").status_code == 200
        wait_until(lambda: person.messages("phone"), timeout=5)
        wait_until(
            lambda: get_outcomes(person, "phone") == [("discarded", "superseded"), ("done", "")]
        )
        assert len(person.messages("phone")) == 1

    def test_change_of_a_verified_number_and_sign_in_do_not_wait(self, api: ApiClient):
        from domain.postgres.models import Person

        person = api.sign_up()
        for channel in ("email", "phone"):
            assert person.confirm(channel).status_code == 200
        Person.objects.filter(id=person.id).update(email_verified_at=None)
        assert api.sign_in(*person.request_code("phone")).status_code == 201
        person = person.sign_in("phone")
        phone = sign_up_payload()["phone"]
        assert person.patch({"phone": phone}).status_code == 200
        assert wait_until(lambda: api.mailbox(phone), timeout=5)


def test_text_message_is_sent_if_the_email_is_confirmed_while_it_is_to_be_postponed(
    stack, no_worker, api: ApiClient
):
    """Else nothing would wake it up: the confirmation has found no postponed entry."""
    from django.db import connection
    from django.test import override_settings

    from domain.postgres import outbox
    from workers.handlers import confirmation

    person = api.sign_up()
    entry = outbox.claim(get_entries(person, "phone").get().id)
    assert entry is not None

    def send() -> Any:
        try:
            return confirmation.send(entry)
        finally:
            connection.close()

    url = stack.environment()["DATABASE_URL"]
    with (
        ThreadPoolExecutor() as threads,
        override_settings(SMS_AFTER_EMAIL=True),
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        with psycopg.connect(url) as confirming:
            confirming.execute(
                "UPDATE rollcall_person SET email_verified_at = now() WHERE id = %s", [person.id]
            )
            sent = threads.submit(send)
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: sent.done() or watcher.execute(waiting).fetchall()[0][0])
        assert sent.result().state == "done"
    assert len(person.messages("phone")) == 1


def read_row(person: SignedUpPerson, channel: str = "email") -> Any:
    from django.db.models.functions import Now

    from domain.postgres.models import Confirmation

    rows = Confirmation.objects.filter(person_id=person.id, channel=channel)
    return rows.annotate(now=Now()).get()


def test_second_worker_with_the_same_entry_sends_the_same_code(no_worker, api: ApiClient):
    """The lease of the first has expired. The quota is used up once."""
    from domain.model.address import Address, Channel
    from domain.postgres import message_quotas, sliding_windows
    from domain.postgres.models import RateLimitWindow

    person = api.sign_up()
    address = Address(Channel.EMAIL, person.body["email"])
    first, second = read_row(person), read_row(person)
    for row in (first, second):
        assert message_quotas.reserve_sending(row, "confirmation", address)
        assert row.code_length == 6
    parts = (b"confirmation", b"email", address.canonical.encode())
    (key,) = sliding_windows.window_keys("messages", *parts)
    assert len(RateLimitWindow.objects.get(key=key).hits) == 1


def test_nothing_is_sent_to_a_person_who_was_erased_after_the_row_was_read(
    no_worker, api: ApiClient
):
    from domain.model.address import Address, Channel
    from domain.postgres import message_quotas

    person = api.sign_up()
    row = read_row(person)
    assert person.request("DELETE", "profile/").status_code == 204
    address = Address(Channel.EMAIL, person.body["email"])
    assert not message_quotas.reserve_sending(row, "confirmation", address)


def test_postponed_messages_are_tried_a_few_times_a_day(no_worker, api: ApiClient):
    """Each waits as long as it has waited already, however many were postponed."""
    from datetime import timedelta

    from django.test import override_settings

    from domain.model.address import Address, Channel
    from domain.model.errors import QuotaExceeded
    from domain.postgres import message_quotas

    person = api.sign_up()
    row = read_row(person, "phone")
    address, attempts = Address(Channel.PHONE, person.body["phone"]), 0
    with override_settings(SMS_PER_DAY=0):
        while True:
            with pytest.raises(QuotaExceeded) as error:
                message_quotas.reserve_sending(row, "confirmation", address)
            attempts += 1
            if error.value.retry_after is None:
                break
            row.now += timedelta(seconds=error.value.retry_after)
    assert row.now - row.created_at >= timedelta(hours=23)
    assert attempts <= 7
