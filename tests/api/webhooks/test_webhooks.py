"""Delivery receipts: signed ones set the status, all others are rejected."""

import hmac
import itertools
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client, override_settings

from local.stack import Stack
from tests.support import webhook_signatures
from tests.support.client import ApiClient, SignedUpPerson, problem_code
from tests.support.webhook_signatures import post_receipts

DEEP = urlsafe_b64encode(b"[" * 20_000).decode()
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
FORM = "application/x-www-form-urlencoded"
_numbers = itertools.count(1)


class SentMessages:
    """A person whose two messages were accepted by the providers."""

    def __init__(self, person: SignedUpPerson) -> None:
        from domain.postgres.models import OutboxEntry

        self.http, self.person = person.api.http, person
        # In the providers' formats: see workers/providers.
        self.mail = f"XBg2anf2TqCy6WXKQFh{next(_numbers):03}"
        self.text = f"0B00000127FDB{next(_numbers):03}"
        rows = OutboxEntry.objects.filter(person_id=person.id)
        rows.update(delivery_status="", delivery_status_at=None)
        rows.filter(confirmation__channel="email").update(provider_message_id=self.mail)
        rows.filter(confirmation__channel="phone").update(provider_message_id=self.text)

    def event(self, event_type: str, **fields: object) -> dict[str, object]:
        """Returns an event of SendGrid's."""
        return {
            "event": event_type,
            "email": self.person.body["email"],
            "timestamp": int(time.time()),
            "sg_event_id": "ZGVsaXZlcmVk",
            "sg_message_id": f"{self.mail}.filter0905p1mdw1-4434-59E0C6FF-3.0",
        } | fields

    def receipt(self, status: str, **fields: object) -> dict[str, object]:
        """Returns a receipt of Vonage's."""
        return {
            "msisdn": self.person.body["phone"].removeprefix("+"),
            "messageId": self.text,
            "status": status,
            "err-code": "0",
            "message-timestamp": "2026-03-01 12:10:29",
        } | fields

    def receive_email_events(self, *event_types: str, **fields: object) -> str:
        """Has SendGrid report these events in one batch; returns the e-mail's status."""
        return self.receive_batch([self.event(each, **fields) for each in event_types])

    def receive_batch(self, events: list[Any], age: int = 0) -> str:
        """Has SendGrid send a batch that was signed `age` seconds ago."""
        headers = webhook_signatures.sign_sendgrid(events, age=age)
        assert post_receipts(self.http, "sendgrid", events, headers) == 204
        return self.status("email")

    def receive_sms_receipt(self, status: str, **fields: object) -> str:
        """Has Vonage report this status; returns the text message's status."""
        receipt = self.receipt(status, **fields)
        headers = webhook_signatures.sign_vonage(receipt)
        assert post_receipts(self.http, "vonage", receipt, headers) == 204
        return self.status("phone")

    def reference(self, channel: str) -> str:
        """Returns the reference that was sent along with the message on a channel."""
        from domain.postgres.delivery_receipts import make_reference
        from domain.postgres.models import OutboxEntry

        rows = OutboxEntry.objects.filter(person_id=self.person.id, kind="confirmation")
        return make_reference(rows.get(confirmation__channel=channel).id)

    def status(self, channel: str) -> str:
        """Returns the status that the person sees."""
        status: str = self.person.request("GET", "confirmations/").json()[channel]["status"]
        return status


@pytest.fixture(scope="module")
def person(django_setup, stack: Stack) -> Iterator[SignedUpPerson]:
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        person = ApiClient(http).sign_up()
        person.wait_for_outbox()
        yield person


@pytest.fixture
def sent(django_db_access, person: SignedUpPerson) -> SentMessages:
    return SentMessages(person)


def test_delivered_message_sets_the_status_of_its_channel(sent: SentMessages):
    assert sent.receive_email_events("processed", "deferred") == "sent"
    assert sent.receive_email_events("delivered") == "delivered"
    assert (
        sent.receive_sms_receipt("accepted")
        == sent.receive_sms_receipt("buffered")
        == sent.receive_sms_receipt("unknown")
        == "sent"
    )
    assert sent.receive_sms_receipt("delivered") == "delivered"


@pytest.mark.parametrize("event_type", ["bounce", "dropped"])
def test_rejected_email_has_status_failed(sent: SentMessages, event_type):
    assert sent.receive_email_events("processed", event_type) == "failed"
    assert sent.status("phone") == "sent"


@pytest.mark.parametrize("event_type", ["expired", "failed", "rejected"])
def test_undelivered_text_message_has_status_failed(sent: SentMessages, event_type):
    assert sent.receive_sms_receipt(event_type) == "failed"
    assert sent.status("email") == "sent"


NOW = int(time.time())  # once: a test compares times that differ by a second


def ago(seconds: int) -> int:
    """Returns a Unix time, as events of SendGrid have it."""
    return NOW - seconds


def utc_ago(seconds: int) -> str:
    """Returns a time as receipts of Vonage have it."""
    return datetime.fromtimestamp(ago(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("reports", "statuses"),
    [
        ([("delivered", 90), ("bounce", 60)], ["delivered", "failed"]),
        ([("bounce", 60), ("delivered", 90)], ["failed", "failed"]),
        ([("bounce", 90), ("delivered", 60)], ["failed", "delivered"]),
        ([("delivered", 60), ("bounce", 90)], ["delivered", "delivered"]),
        ([("delivered", 60), ("bounce", 60)], ["delivered", "failed"]),
        ([("bounce", 60), ("delivered", 60)], ["failed", "failed"]),
        ([("bounce", 90), ("delivered", 60), ("dropped", 30)], ["failed", "delivered", "failed"]),
    ],
)
def test_latest_receipt_by_the_providers_clock_counts(sent: SentMessages, reports, statuses):
    for (event_type, age), status in zip(reports, statuses, strict=True):
        assert sent.receive_email_events(event_type, timestamp=ago(age)) == status
    sms_status = {"bounce": "failed", "dropped": "rejected"}
    for (event_type, age), status in zip(reports, statuses, strict=True):
        sms = sms_status.get(event_type, event_type)
        assert sent.receive_sms_receipt(sms, **{"message-timestamp": utc_ago(age)}) == status


def test_latest_event_of_a_batch_counts_in_any_order(sent: SentMessages):
    events = [
        sent.event("delivered", timestamp=ago(90)),
        sent.event("bounce", timestamp=ago(60)),
        sent.event("processed", timestamp=ago(30)),
    ]
    for order in itertools.permutations(events):
        sent = SentMessages(sent.person)
        batch = [event | {"sg_message_id": f"{sent.mail}.filter"} for event in order]
        assert sent.receive_batch(batch) == "failed"


def test_repeated_receipt_changes_nothing(sent: SentMessages):
    from domain.postgres.models import OutboxEntry

    delivered = [sent.event("delivered", timestamp=ago(60))]
    assert sent.receive_batch(delivered) == "delivered"
    row = OutboxEntry.objects.values().get(provider_message_id=sent.mail)
    assert row["delivery_status_at"] == datetime.fromtimestamp(ago(60), UTC)
    for age in (0, 30):
        assert sent.receive_batch(delivered, age) == "delivered"
    assert OutboxEntry.objects.values().get(provider_message_id=sent.mail) == row
    bounce = [sent.event("bounce", timestamp=ago(30))]
    assert sent.receive_batch(bounce) == "failed"
    assert sent.receive_batch(delivered) == "failed"


INVALID_TIMES: list[Any] = ["soon", None, {}, [], -(10**20), 10**20, 4_102_444_800]
INVALID_TIMES += ["2100-01-01 00:00:00", "0001-01-01 00:00:00+10:00"]


@pytest.mark.parametrize("invalid", INVALID_TIMES)
def test_receipt_without_a_valid_time_has_that_of_its_signature(sent: SentMessages, invalid):
    now = int(time.time())
    assert sent.receive_batch([sent.event("bounce", timestamp=invalid)], age=300) == "failed"
    assert sent.receive_email_events("delivered", timestamp=now) == "delivered"
    receipt = sent.receipt("failed", **{"message-timestamp": invalid})
    headers = webhook_signatures.sign_vonage(receipt, age=300)
    assert post_receipts(sent.http, "vonage", receipt, headers) == 204
    later = {"message-timestamp": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S}"}
    assert sent.receive_sms_receipt("delivered", **later) == "delivered"


@pytest.mark.parametrize("zone", ["", "Z", "+0000", " +0000", "+00:00"])
def test_time_of_a_vonage_receipt_is_in_utc(sent: SentMessages, zone):
    later, earlier = utc_ago(30) + zone, utc_ago(60) + zone
    assert sent.receive_sms_receipt("failed", **{"message-timestamp": later}) == "failed"
    assert sent.receive_sms_receipt("delivered", **{"message-timestamp": earlier}) == "failed"


def test_receipt_with_our_reference_needs_no_message_id(sent: SentMessages):
    from domain.postgres.models import OutboxEntry

    OutboxEntry.objects.filter(person_id=sent.person.id).update(provider_message_id="")
    references = {each: sent.reference(each) for each in ("email", "phone")}
    event = sent.event("bounce", rollcall_reference=references["email"])
    del event["sg_message_id"]  # SendGrid leaves it out of asynchronous bounces
    assert sent.receive_batch([event]) == "failed"
    assert sent.receive_sms_receipt("delivered", **{"client-ref": references["phone"]}) == (
        "delivered"
    )


def test_receipts_of_every_kind_of_message_are_recorded(sent: SentMessages):
    from domain.postgres.delivery_receipts import make_reference
    from domain.postgres.models import OutboxEntry

    person = sent.person.api.sign_up()
    assert person.confirm("email").status_code == 200
    person = person.sign_in()
    assert person.patch({"email": f"new-{person.body['email']}"}).status_code == 200
    rows = OutboxEntry.objects.filter(person_id=person.id).exclude(kind="project_profile")
    assert set(rows.values_list("kind", flat=True)) == {
        "confirmation",
        "sign_in_code",
        "address_change_notice",
        "other_channel_notice",
    }
    references = [make_reference(row.id) for row in rows]
    sent.receive_batch([sent.event("delivered", rollcall_reference=each) for each in references])
    assert set(rows.values_list("delivery_status", flat=True)) == {"delivered"}


@pytest.mark.parametrize("state", ["running", "pending", "queued"])
def test_receipt_of_an_unfinished_entry_is_kept(sent: SentMessages, state):
    from domain.postgres import outbox
    from domain.postgres.models import OutboxEntry

    person = sent.person.api.sign_up()
    person.wait_for_outbox()
    rows = OutboxEntry.objects.filter(person_id=person.id, confirmation__channel="email")
    early = SentMessages(person)
    reference = early.reference("email")
    # In an hour, lest the relay hands it out.
    due_at = datetime.now(UTC) + timedelta(hours=1)
    rows.update(state="queued", finished_at=None, provider_message_id="", due_at=due_at)
    entry = outbox.claim(rows.get().id)
    assert entry is not None
    if state != "running":
        outbox.reschedule(entry, "timeout", 3600)
        rows.update(state=state)
    assert early.receive_email_events("delivered", rollcall_reference=reference) == "delivered"
    if state != "running":
        rows.update(state="queued")
        entry = outbox.claim(entry.id)
        assert entry is not None
    outbox.complete(entry, outbox.Outcome(OutboxEntry.State.DONE, "", "mail-9"))
    assert early.status("email") == "delivered"
    assert early.receive_email_events("bounce", rollcall_reference=reference) == "failed"


@pytest.mark.parametrize(
    "change",
    [
        lambda reference: reference.partition("-")[0],
        lambda reference: reference.partition("-")[0] + "-0123456789abcdef",  # another deployment's
        lambda reference: f"9{reference}",
        lambda reference: f"{reference} ",
        lambda _: "-",
        lambda _: "é-\x00",
        lambda _: 7,
        lambda _: ["x"],
        lambda _: {},
    ],
)
def test_receipt_with_a_reference_that_is_not_ours_is_ignored(sent: SentMessages, change):
    email, phone = change(sent.reference("email")), change(sent.reference("phone"))
    sent.mail = sent.text = "unknown"
    assert sent.receive_email_events("bounce", rollcall_reference=email) == "sent"
    assert sent.receive_sms_receipt("failed", **{"client-ref": phone}) == "sent"


def test_receipt_of_a_purged_entry_is_ignored(sent: SentMessages):
    from domain.postgres.delivery_receipts import make_reference

    reference = make_reference(2**40)
    assert sent.receive_email_events("bounce", rollcall_reference=reference) == "sent"
    assert sent.receive_sms_receipt("failed", **{"client-ref": reference}) == "sent"


def test_vonage_receipt_may_be_a_form(sent: SentMessages):
    form = f"msisdn=34600000000&messageId={sent.text}&status=delivered&err-code=0".encode()
    assert (
        post_receipts(
            sent.http, "vonage", form, webhook_signatures.sign_vonage(form, media_type=FORM)
        )
        == 204
    )
    assert sent.status("phone") == "delivered"


def test_sendgrid_id_with_dots_is_matched(sent: SentMessages):
    from domain.postgres.models import OutboxEntry

    OutboxEntry.objects.filter(provider_message_id=sent.mail).update(
        provider_message_id=f"{sent.mail}.dfd.64b469"
    )
    sent.mail += ".dfd.64b469"
    assert sent.receive_email_events("delivered") == "delivered"


def test_receipts_of_unknown_messages_are_ignored(sent: SentMessages):
    known, sent.mail, sent.text = (sent.mail, sent.text), "unknown", "unknown"
    assert (sent.receive_email_events("delivered"), sent.receive_sms_receipt("delivered")) == (
        "sent",
        "sent",
    )
    sent.mail, sent.text = "", ""
    assert (sent.receive_email_events("delivered"), sent.receive_sms_receipt("delivered")) == (
        "sent",
        "sent",
    )
    sent.mail, sent.text = known
    assert sent.receive_email_events("delivered") == "delivered"


def test_invalid_events_do_not_affect_the_rest_of_a_batch(sent: SentMessages):
    items: list[Any] = [None, 7, "delivered", [[]], {}, {"event": ["delivered"]}, {"event": {}}]
    ids: list[Any] = [None, 5, [], "", "a\x00b", "x" * 9999]
    batch = [*items, *(sent.event("delivered", sg_message_id=i) for i in ids)]
    batch.append(sent.event("delivered"))
    assert (
        post_receipts(sent.http, "sendgrid", batch, webhook_signatures.sign_sendgrid(batch)) == 204
    )
    assert sent.status("email") == "delivered"
    values: list[Any] = [[], ["delivered"], {}, "a\x00b", None]
    for name, value in itertools.product(("messageId", "status"), values):
        receipt = sent.receipt("delivered") | {name: value}
        assert (
            post_receipts(sent.http, "vonage", receipt, webhook_signatures.sign_vonage(receipt))
            == 204
        )
    assert sent.status("phone") == "sent"


def test_large_batch_is_processed_completely(sent: SentMessages):
    others = [f"other{i}.filter0905p1mdw1-4434-59E0C6FF-3.0" for i in range(4_100)]
    batch = [sent.event("delivered", sg_message_id=other) for other in others]
    batch.append(sent.event("delivered"))
    assert 700_000 < len(webhook_signatures.encode_body(batch)) < 768 * 1024
    assert (
        post_receipts(sent.http, "sendgrid", batch, webhook_signatures.sign_sendgrid(batch)) == 204
    )
    assert sent.status("email") == "delivered"


def without_headers(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.endswith(names)}


def with_header(headers: dict[str, str], name: str, value: str) -> dict[str, str]:
    return {
        key: value if key.endswith(name) else other_value for key, other_value in headers.items()
    }


type Forge = Callable[[bytes], dict[str, str]]

FORGERIES: dict[str, dict[str, Forge]] = {
    "sendgrid": {
        "unsigned": lambda _: {},
        "no signature": lambda body: without_headers(
            webhook_signatures.sign_sendgrid(body), "Signature"
        ),
        "no timestamp": lambda body: without_headers(
            webhook_signatures.sign_sendgrid(body), "Timestamp"
        ),
        "another key": lambda body: webhook_signatures.sign_sendgrid(body, key=OTHER_KEY),
        "another body": lambda body: webhook_signatures.sign_sendgrid(body + b" "),
        "another time": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body, age=2), "Timestamp", str(int(time.time()))
        ),
        "too old": lambda body: webhook_signatures.sign_sendgrid(body, age=605),
        "of tomorrow": lambda body: webhook_signatures.sign_sendgrid(body, age=-86_400),
        "no number": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Timestamp", "-1.5"
        ),
        "strange digits": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Timestamp", "١٢٣"
        ),
        "a huge number": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Timestamp", "9" * 5000
        ),
        "no base64": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Signature", "%%%"
        ),
        "no DER": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Signature", "AAAA"
        ),
        "an empty signature": lambda body: with_header(
            webhook_signatures.sign_sendgrid(body), "Signature", ""
        ),
    },
    "vonage": {
        "unsigned": lambda _: {},
        "another secret": lambda body: webhook_signatures.sign_vonage(body, secret="x" * 40),
        "another body": lambda body: webhook_signatures.sign_vonage(body + b" "),
        "no hash": lambda body: webhook_signatures.sign_vonage(body, payload_hash=None),
        "an odd hash": lambda body: webhook_signatures.sign_vonage(body, payload_hash=["ä"]),
        "no time": lambda body: webhook_signatures.sign_vonage(body, iat=None),
        "an odd time": lambda body: webhook_signatures.sign_vonage(body, iat="soon"),
        "an endless time": lambda body: webhook_signatures.sign_vonage(body, iat=10**400),
        "long ago": lambda body: webhook_signatures.sign_vonage(body, iat=-(10**400)),
        "too old": lambda body: webhook_signatures.sign_vonage(body, age=605),
        "of tomorrow": lambda body: webhook_signatures.sign_vonage(body, age=-86_400),
        "no algorithm": lambda body: webhook_signatures.sign_vonage(
            body, secret=None, algorithm="none"
        ),
        "another algorithm": lambda body: webhook_signatures.sign_vonage(body, algorithm="HS384"),
        "no token": lambda _: {"Authorization": "Bearer"},
        "junk": lambda _: {"Authorization": "Bearer a.b.c"},
        "a deep header": lambda _: {"Authorization": f"Bearer {DEEP}.e30.e30"},
        "another scheme": lambda body: with_header(
            webhook_signatures.sign_vonage(body), "Authorization", "Basic a2V5OnNlY3JldA=="
        ),
    },
}


@pytest.mark.parametrize("provider", ["sendgrid", "vonage"])
def test_invalid_signature_is_a_401_and_changes_nothing(sent: SentMessages, provider):
    documents = {"sendgrid": [sent.event("delivered")], "vonage": sent.receipt("delivered")}
    body = webhook_signatures.encode_body(documents[provider])
    for name, forge in FORGERIES[provider].items():
        raw_headers = {name.encode(): value.encode() for name, value in forge(body).items()}
        response = sent.http.post(f"/webhooks/{provider}/", content=body, headers=raw_headers)
        assert (response.status_code, problem_code(response)) == (401, "invalid_signature"), name
        assert "bearer" in response.headers["www-authenticate"].lower()
    assert sent.status("email") == sent.status("phone") == "sent"


INVALID_BODIES = {
    "empty": b"",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "no JSON": b"{",
    "null": b"null",
    "no UTF-8": b"\xff\xfe",
    "a surrogate": b'["\\ud800"]',
    "large": b" " * (1024 * 1024 - 1) + b"{",
}


@pytest.mark.parametrize(
    ("provider", "sign"),
    [("sendgrid", webhook_signatures.sign_sendgrid), ("vonage", webhook_signatures.sign_vonage)],
)
def test_invalid_body_is_a_401(api: ApiClient, provider, sign):
    for name, body in INVALID_BODIES.items():
        for media_type in (
            "application/json",
            FORM,
            "multipart/form-data; boundary=x",
            "text/plain",
        ):
            assert post_receipts(api.http, provider, body, {"Content-Type": media_type}) == 401, (
                name
            )
        assert post_receipts(api.http, provider, body, sign(body)) == 401, name


def test_body_over_1_mib_is_a_413(api: ApiClient):
    body = b" " * 1024 * 1024 + b"[]"
    response = api.http.post(
        "/webhooks/sendgrid/", content=body, headers=webhook_signatures.sign_sendgrid(body)
    )
    assert (response.status_code, problem_code(response)) == (413, "body_too_large")


def test_every_receipt_is_rejected_without_a_configured_key(django_db_access):
    def code(provider: str, body: bytes, headers: dict[str, str]) -> int:
        client = Client(headers=headers | {"Host": "localhost"})
        return client.post(f"/webhooks/{provider}/", body, "application/json").status_code

    def sign_with_empty_secret(body: bytes) -> dict[str, str]:
        """Returns a token that is signed with the empty secret."""
        claims = {"iat": int(time.time()), "payload_hash": sha256(body).hexdigest()}
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = urlsafe_b64encode(hmac.digest(b"", signed, "sha256")).rstrip(b"=")
        return {"Authorization": f"Bearer {signed.decode()}.{signature.decode()}"}

    assert code("sendgrid", b"[]", webhook_signatures.sign_sendgrid(b"[]")) == 204
    assert code("vonage", b"{}", webhook_signatures.sign_vonage(b"{}")) == 204
    with override_settings(SENDGRID_WEBHOOK_PUBLIC_KEY=None, VONAGE_SIGNATURE_SECRET=""):
        assert code("sendgrid", b"[]", webhook_signatures.sign_sendgrid(b"[]")) == 401
        assert code("vonage", b"{}", webhook_signatures.sign_vonage(b"{}")) == 401
        assert code("vonage", b"{}", sign_with_empty_secret(b"{}")) == 401


def test_addresses_in_receipts_are_neither_stored_nor_logged(sent: SentMessages, stack):
    from domain.postgres.models import OutboxEntry

    email = sent.person.body["email"]
    assert sent.receive_email_events("delivered") == "delivered"
    events = [sent.event("bounce")]
    assert (
        post_receipts(
            sent.http, "sendgrid", events, webhook_signatures.sign_sendgrid(events, key=OTHER_KEY)
        )
        == 401
    )
    log = (stack.data_dir / "logs" / "write.log").read_text()
    assert '"delivery_receipt_rejected"' in log
    assert email not in log
    assert email not in str(OutboxEntry.objects.filter(provider_message_id=sent.mail).values())
