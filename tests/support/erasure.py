"""People who leave something distinctive everywhere, on a service with real receipts and failures,
and how they are erased.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import psycopg
import redis
from psycopg import sql

from local.stack import Stack
from tests.support import fake_provider
from tests.support.admin_client import TableParser, admin_session, form_origin
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.events import event_settings
from tests.support.fake_provider import FakeProvider, provider_settings
from tests.support.settings_process import SettingsProcess
from tests.support.stacks import extra_stack
from tests.support.webhook_signatures import ENV, post_receipts, sign_sendgrid, sign_vonage

CLIENT = "203.0.113.77"
_PEOPLE = "/admin/rollcall/person/"
# Erases a person as an operator does, and those whose time is over as the workers do.
ERASE = """
import django
django.setup()
from django.core.management import call_command
from workers import purge
for person_id in {}:
    call_command("people", "erase", person_id)
purge.purge_expired()
"""
# The names of three people, of whom one is erased in each way.
OWNER, REJECTED, CLAIMANT = "Zebulonqx", "Zygmuntqx", "Zorbaqx"
EMAIL, NEW_EMAIL, NEXT_EMAIL = (
    f"{name}.Marsh@quagmire-erasure.example" for name in ("Zebulonqx", "Zebedeeqx", "Zedekiahqx")
)
REJECTED_EMAIL = f"{REJECTED}@bücher-erasure.example"
PHONE, NEXT_PHONE = "+34699812735", "+34699847216"
_COUNT_UNFINISHED = """
    SELECT (SELECT count(*) FROM rollcall_outboxentry WHERE finished_at IS NULL)
        + (SELECT count(*) FROM rollcall_event WHERE finished_at IS NULL)
"""
TABLES_OF_PEOPLE = """
    SELECT table_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'person_id'
"""


class Service(NamedTuple):
    """A running service, its two providers, a connection to its database, and what runs programs
    in its environment.
    """

    stack: Stack
    api: ApiClient
    providers: dict[str, FakeProvider]
    database: psycopg.Connection
    programs: SettingsProcess

    def erase(self, *person_ids: str) -> None:
        """Erases these people as an operator does, and those whose time is over as workers do."""
        self.programs.run(self.stack, ERASE.format(person_ids))

    def count(self, table: str) -> int:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        row = self.database.execute(query).fetchone()
        return row[0] if row else 0

    def queue_size(self) -> int:
        with redis.Redis.from_url(self.stack.environment()["QUEUE_URL"]) as queue:
            return sum(queue.llen(key) for key in queue.scan_iter(_type="list"))

    def is_settled(self) -> bool:
        """Returns whether no work is left."""
        return self.database.execute(_COUNT_UNFINISHED).fetchone() == (0,)


@contextmanager
def run_service(data_dir: Path, programs: SettingsProcess) -> Iterator[Service]:
    """A stack with the dashboard, and with providers: receipts and failures are real."""
    with ExitStack() as running:
        sendgrid = running.enter_context(FakeProvider())
        vonage = running.enter_context(FakeProvider(tls=True))
        receiver = running.enter_context(FakeProvider())
        env = {
            "HUEY_DASHBOARD": "true",
            "TRUSTED_PROXIES": "1",
            **provider_settings(sendgrid, vonage),
            **event_settings(receiver.url),
            **ENV,
        }
        stack = running.enter_context(extra_stack(data_dir, **env))
        http = httpx.Client(base_url=stack.url, headers={"X-Forwarded-For": CLIENT}, timeout=20)
        api = ApiClient(running.enter_context(http))
        url = stack.environment()["DATABASE_URL"]
        database = running.enter_context(psycopg.connect(url, autocommit=True))
        yield Service(stack, api, {"email": sendgrid, "phone": vonage}, database, programs)


def sign_up(service: Service, name: str, **fields: Any) -> SignedUpPerson:
    body = {
        "name": name,
        "surname": f"{name}-Wolfsmantel",
        "email": REJECTED_EMAIL,
        "phone": PHONE,
        "hobbies": [f"falconry of {name}", "knots"],
    } | fields
    key = {"Idempotency-Key": f"idempotency-key-of-{name}"}
    return SignedUpPerson(service.api, service.api.post("/api/v1/signup/", body, **key))


def list_messages(service: Service, channel: str, to: str) -> list[tuple[str, str]]:
    """Returns text and reference of the messages that a provider has accepted, oldest first."""
    requests = service.providers[channel].requests
    if channel == "phone":
        forms = [each.form for each in requests]
        return [(f["text"], f["client-ref"]) for f in forms if f["to"] == to.removeprefix("+")]
    return [
        (mail["content"][0]["value"], mail["custom_args"]["rollcall_reference"])
        for mail in (each.json for each in requests)
        if mail["personalizations"][0]["to"][0]["email"] == to
    ]


def receive(service: Service, channel: str, to: str, number: int = 1) -> str:
    """Returns the text of the last of `number` messages, whose delivery the provider reports."""
    messages = wait_until(lambda: list_messages(service, channel, to)[number - 1 :])
    text, reference = messages[0]
    if channel == "email":
        events = [{"event": "delivered", "email": to, "rollcall_reference": reference}]
        status = post_receipts(service.api.http, "sendgrid", events, sign_sendgrid(events))
    else:
        receipt = {"msisdn": to, "client-ref": reference, "status": "delivered"}
        status = post_receipts(service.api.http, "vonage", receipt, sign_vonage(receipt))
    assert status == 204
    return text


def find_code(text: str) -> str:
    found = re.search(r"(?<![\w#-])\d{6}(?!\w)", text)
    assert found is not None
    return found[0]


def run_staff_actions(service: Service, person: SignedUpPerson) -> None:
    with admin_session(service.stack) as staff:
        for action in ("resend_confirmations", "revoke_sessions"):
            page = staff.get(_PEOPLE, params={"q": NEW_EMAIL.upper()})
            fields = {
                "csrfmiddlewaretoken": TableParser(page.text).csrf,
                "action": action,
                "_selected_action": person.id,
            }
            origin = {"Origin": form_origin(page)}
            assert staff.post(_PEOPLE, data=fields, headers=origin).status_code == 302
        assert OWNER in staff.get(f"{_PEOPLE}{person.id}/change/").text


def sign_in(service: Service, person: SignedUpPerson, **address: str) -> SignedUpPerson:
    """Returns the person in a new session; `address` is in any spelling."""
    ((channel, spelled),) = address.items()
    to = spelled if channel == "phone" else person.body["email"]
    wait_until(service.is_settled)
    number = len(list_messages(service, channel, to)) + 1
    challenge = service.api.request_challenge(**{channel: spelled})
    response = service.api.sign_in(challenge, find_code(receive(service, channel, to, number)))
    assert response.status_code == 201
    return person.with_token(response.json()["session"]["token"])


def make_owner(service: Service) -> SignedUpPerson:
    """Returns a person who has left something everywhere."""
    owner = sign_up(service, OWNER, email=EMAIL, phone="+34 699 81-27-35")
    mail, text = receive(service, "email", EMAIL), receive(service, "phone", PHONE)
    assert owner.confirm("email", "000000").status_code == 400
    assert owner.confirm("email", find_code(mail)).status_code == 200
    assert owner.confirm("phone", find_code(text)).status_code == 200
    owner = sign_in(service, owner, email=EMAIL.upper())
    assert owner.patch({"email": NEW_EMAIL}).status_code == 200
    mail = receive(service, "email", NEW_EMAIL)
    assert owner.confirm("email", find_code(mail)).status_code == 200
    assert owner.patch({"email": NEXT_EMAIL, "phone": NEXT_PHONE}).status_code == 200
    receive(service, "email", NEXT_EMAIL)
    run_staff_actions(service, owner)
    service.api.request_challenge(email=NEW_EMAIL)
    return sign_in(service, owner, phone=PHONE)


def leave_work(service: Service, owner: SignedUpPerson) -> None:
    """Leaves tasks in the queue, and a cache miss."""
    for name in ("worker", "relay"):
        service.stack.services[name].stop()
    assert owner.patch({"hobbies": ["falconry", f"siege engines of {OWNER}"]}).status_code == 200
    with redis.Redis.from_url(service.stack.environment()["REDIS_URL"]) as profiles:
        profiles.delete(f"p:{UUID(owner.id).hex}")
        assert owner.profile().status_code == 503
        assert profiles.zcard("profile:backfill") == 1


def erase_all(service: Service, owner: SignedUpPerson, rejected: SignedUpPerson) -> None:
    """Erases people in each way: by themselves, by an operator, and by the purge."""
    assert owner.request("DELETE", "profile/").status_code == 204
    service.database.execute(
        "UPDATE rollcall_person SET created_at = now() - interval '8 days' WHERE name = %s",
        [CLAIMANT],
    )
    service.erase(rejected.id)
    assert service.count("rollcall_person") == 0


def fill(service: Service) -> tuple[SignedUpPerson, SignedUpPerson, SignedUpPerson]:
    """Returns people who have left something everywhere, of whom one is erased in each way."""
    fail = fake_provider.status(400, body=f'{{"errors": ["{REJECTED}"]}}'.encode())
    email = service.providers["email"]
    email.default_response = fake_provider.fail_first({REJECTED: fail}, fake_provider.accept())
    owner = make_owner(service)
    rejected = sign_up(service, REJECTED, phone="+34699000111")
    claimant = sign_up(service, CLAIMANT, email=NEW_EMAIL)
    service.api.request_challenge(email=rejected.body["email"])  # not verified, so no person's
    wait_until(service.is_settled)
    for (table,) in service.database.execute(TABLES_OF_PEOPLE).fetchall():
        query = sql.SQL("SELECT count(*) FROM {} WHERE person_id = %s")
        row = service.database.execute(query.format(sql.Identifier(table)), [owner.id]).fetchone()
        assert row is not None
        assert row[0], f"{table} has something to erase"
    service.database.execute("ANALYZE")
    leave_work(service, owner)
    return owner, rejected, claimant
