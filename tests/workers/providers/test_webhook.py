"""Messages that are handed to a service of the operator's own, by a signed POST."""

import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from local.stack import Stack
from tests.support import fake_provider
from tests.support.client import ApiClient, wait_until
from tests.support.fake_provider import FakeProvider, Request
from tests.support.fake_smtp import FakeSmtp
from tests.support.workers import replaceable_worker
from tests.workers.providers.test_sdks import SMS
from workers.providers.base import PermanentFailure, SendError, TemporaryFailure
from workers.providers.webhook import Webhook

KEY = b"a key of at least 24 bytes"
SECRET = f"whsec_{b64encode(KEY).decode()}"


def send(receiver: FakeProvider, reference: str = "reference-1") -> str:
    settings = SimpleNamespace(
        MESSAGE_WEBHOOK_URL=f"{receiver.url}/messages",
        MESSAGE_WEBHOOK_SECRET=SECRET,
        PROVIDER_TIMEOUT=2.0,
    )
    return Webhook(settings).send(SMS, reference)


def verify_signature(request: Request) -> None:
    """Verifies a request as a receiver does (Standard Webhooks)."""
    message_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{message_id}.{timestamp}.".encode() + request.body
    signature = b64decode(request.headers["webhook-signature"].removeprefix("v1,"))
    assert hmac.compare_digest(signature, hmac.digest(KEY, signed, "sha256"))


def test_message_is_posted_with_a_signature():
    with FakeProvider() as receiver:
        receiver.queue_responses(fake_provider.status(202, body=b'{"id": "m-1"}'))
        assert send(receiver) == "m-1"
        (request,) = receiver.requests
    verify_signature(request)
    assert request.headers["webhook-id"] == "reference-1"
    assert json.loads(request.body) == asdict(SMS) | {"type": "message", "reference": "reference-1"}


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b'{"id": 5}'])
def test_any_body_of_a_success_is_accepted(body: bytes):
    with FakeProvider() as receiver:
        receiver.queue_responses(fake_provider.status(200, body=body))
        assert send(receiver) == ""


@pytest.mark.parametrize(
    ("status", "failure_type"), [(400, PermanentFailure), (500, TemporaryFailure)]
)
def test_refusal_is_final_and_an_error_is_not(status: int, failure_type: type[SendError]):
    with FakeProvider() as receiver:
        receiver.queue_responses(fake_provider.status(status))
        with pytest.raises(failure_type):
            send(receiver)


def test_service_sends_by_smtp_and_webhook(stack: Stack, api: ApiClient):
    with FakeSmtp() as smtp, FakeProvider() as receiver:
        receiver.default_response = fake_provider.status(204)
        environment = {
            "MESSAGE_BACKEND": "providers",
            "EMAIL_PROVIDER": "smtp",
            "SMTP_HOST": "localhost",
            "SMTP_PORT": str(smtp.port),
            "EMAIL_FROM": "hello@rollcall.example",
            "REQUESTS_CA_BUNDLE": smtp.ca_file,
            "SMS_PROVIDER": "webhook",
            "MESSAGE_WEBHOOK_URL": receiver.url,
            "MESSAGE_WEBHOOK_SECRET": SECRET,
        }
        with replaceable_worker(stack) as use_worker:
            use_worker(**environment)
            person = api.sign_up()
            wait_until(lambda: smtp.mails and receiver.requests)
    assert smtp.mails[0]["To"] == person.body["email"]
    verify_signature(receiver.requests[0])
    assert json.loads(receiver.requests[0].body)["to"] == person.body["phone"]
