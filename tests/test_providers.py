"""The whole way with providers: web, worker, and the real SDKs talking HTTP to a stand-in."""

import json
import re
from functools import partial
from urllib.parse import parse_qs

import httpx
import pytest

from local.product import rollcall_commands
from local.stack import Stack
from tests import signing, standin
from tests.someone import Rollcall, Someone, eventually


@pytest.fixture(scope="module")
def providers(tmp_path_factory):
    """A stack that sends through SendGrid and Vonage, both played by stand-ins."""
    with standin.StandIn() as sendgrid, standin.StandIn(tls=True) as vonage:
        sendgrid.usual = standin.accept()
        vonage.usual = standin.sms({"status": "0", "message-id": "1"})
        env = {
            "DJANGO_SETTINGS_MODULE": "settings.test",
            "DELIVERY": "providers",
            "SENDGRID_HOST": sendgrid.url,
            "SENDGRID_API_KEY": "SG.test",
            "EMAIL_FROM": "hello@rollcall.example",
            "VONAGE_HOST": vonage.host,
            "VONAGE_API_KEY": "key",
            "VONAGE_API_SECRET": "secret",
            "REQUESTS_CA_BUNDLE": str(vonage.ca_file),
            "PROVIDER_TIMEOUT": "1",
            **signing.ENV,
        }
        folder = tmp_path_factory.mktemp("providers")
        with (
            Stack(
                folder,
                env=env,
                durable=False,
                commands=partial(rollcall_commands, workers=1),
            ) as stack,
            httpx.Client(base_url=stack.url) as http,
        ):
            yield Rollcall(http), sendgrid, vonage


def emails_to(sendgrid: standin.StandIn, someone: Someone) -> list[dict[str, object]]:
    mails = [json.loads(r.body) for r in sendgrid.requests]
    return [m for m in mails if m["personalizations"][0]["to"][0]["email"] == someone.body["email"]]


def texts_to(vonage: standin.StandIn, someone: Someone) -> list[str]:
    forms = [parse_qs(r.body.decode()) for r in vonage.requests]
    return [f["text"][0] for f in forms if f["to"] == [someone.body["phone"].removeprefix("+")]]


def twice[T](posts: list[T]) -> list[T]:
    """The posts, once there are two."""
    return posts if len(posts) == 2 else []


def codes(text: str) -> set[str]:
    return set(re.findall(r"\b\d{6}\b", text))


def test_sms_code_and_email_link_confirm_addresses(providers):
    rollcall, sendgrid, vonage = providers
    someone = rollcall.sign_up()
    text = eventually(lambda: texts_to(vonage, someone))[0]
    assert someone.confirm("phone", codes(text).pop()).status_code == 200
    mail = eventually(lambda: emails_to(sendgrid, someone))[0]
    (token,) = set(re.findall(r"/confirm/email/#([\w-]{43})", json.dumps(mail)))
    answer = rollcall.post("/api/v1/confirmations/email/", {"token": token})
    assert answer.status_code == 200
    profile = someone.profile().json()
    assert (profile["email_verified"], profile["phone_verified"]) == (True, True)


def test_delivery_receipt_sets_the_confirmation_status(providers):
    rollcall, sendgrid, vonage = providers
    sendgrid.answer_with(standin.status(202, {"X-Message-Id": "XBg2anf2TqCy6WXKQFhieQ"}))
    vonage.answer_with(standin.sms({"status": "0", "message-id": "0B00000127FDBC63"}))
    someone = rollcall.sign_up()

    def statuses() -> list[str]:
        told = someone.call("GET", "confirmations/").json()
        return [told[channel]["status"] for channel in ("email", "phone")]

    eventually(lambda: statuses() == ["sent", "sent"])
    id_then = "XBg2anf2TqCy6WXKQFhieQ.filter0905p1mdw1-4434-59E0C6FF-3.0"
    events = [{"event": "bounce", "sg_message_id": id_then}]
    receipt = {"messageId": "0B00000127FDBC63", "status": "delivered"}
    assert signing.post(rollcall.http, "sendgrid", events, signing.sendgrid(events)) == 204
    assert signing.post(rollcall.http, "vonage", receipt, signing.vonage(receipt)) == 204
    assert statuses() == ["failed", "delivered"]


@pytest.mark.parametrize("trouble", ["down", "slow_down", "hang", "drop", "garbage"])
def test_temporary_failure_is_retried_with_the_same_code(providers, trouble):
    rollcall, sendgrid, vonage = providers
    answers = {
        "down": standin.status(500),
        "slow_down": standin.status(429, headers={"Retry-After": "1"}),
        "hang": standin.hang(),
        "drop": standin.drop(),
        "garbage": standin.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n???"),
    }
    sendgrid.answer_with(answers[trouble])
    vonage.answer_with(answers[trouble])
    someone = rollcall.sign_up()
    texts = eventually(lambda: twice(texts_to(vonage, someone)), within=30)
    mails = eventually(lambda: twice(emails_to(sendgrid, someone)), within=30)
    assert len(set(map(str, texts))) == 1, "the same code, in the same words"
    assert mails[0] == mails[1]
    assert someone.confirm("phone", codes(texts[0]).pop()).status_code == 200


def test_permanent_failure_is_not_retried(providers):
    rollcall, sendgrid, vonage = providers
    sendgrid.answer_with(standin.status(400))
    vonage.answer_with(standin.sms({"status": "6", "error-text": "no"}))
    refused, next_one = rollcall.sign_up(), None
    eventually(lambda: texts_to(vonage, refused) and emails_to(sendgrid, refused))
    next_one = rollcall.sign_up()
    eventually(lambda: texts_to(vonage, next_one) and emails_to(sendgrid, next_one))
    assert len(texts_to(vonage, refused)) == len(emails_to(sendgrid, refused)) == 1
