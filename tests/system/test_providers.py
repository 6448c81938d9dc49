"""The whole path of a message: web, worker, and the real SDKs with fake providers."""

import json
import re
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from local.stack import Stack
from tests.support import fake_provider, webhook_signatures
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.workers import replaceable_worker


@pytest.fixture(scope="module")
def providers(stack: Stack):
    """The stack with a worker that sends through SendGrid and Vonage, both fake."""
    with fake_provider.FakeProvider() as sendgrid, fake_provider.FakeProvider(tls=True) as vonage:
        sendgrid.default_response = fake_provider.accept()
        vonage.default_response = fake_provider.sms({"status": "0", "message-id": "1"})
        env = fake_provider.provider_settings(sendgrid, vonage) | {"PROVIDER_TIMEOUT": "1"}
        with (
            replaceable_worker(stack) as use_worker,
            httpx.Client(base_url=stack.url, timeout=20) as http,
        ):
            use_worker(**env)
            yield ApiClient(http), sendgrid, vonage


def sign_up(providers, to_email: fake_provider.Respond, to_sms: fake_provider.Respond):
    """Signs a person up, to whose first messages the providers respond so."""
    api, sendgrid, vonage = providers
    body = sign_up_payload()
    for provider, to, response in (
        (sendgrid, body["email"], to_email),
        (vonage, body["phone"].removeprefix("+"), to_sms),
    ):
        provider.default_response = fake_provider.fail_first(
            {to: response}, provider.default_response
        )
    return api.sign_up(**body)


def get_emails(sendgrid: fake_provider.FakeProvider, person: SignedUpPerson) -> list[Any]:
    mails = [json.loads(request.body) for request in sendgrid.requests]
    return [
        mail
        for mail in mails
        if mail["personalizations"][0]["to"][0]["email"] == person.body["email"]
    ]


def get_texts(vonage: fake_provider.FakeProvider, person: SignedUpPerson) -> list[str]:
    forms = [parse_qs(request.body.decode()) for request in vonage.requests]
    return [
        form["text"][0] for form in forms if form["to"] == [person.body["phone"].removeprefix("+")]
    ]


def get_statuses(person: SignedUpPerson) -> list[str]:
    states = person.request("GET", "confirmations/").json()
    return [states[channel]["status"] for channel in ("email", "phone")]


def wait_for_two[T](posts: list[T]) -> list[T]:
    """Returns the posts once there are two."""
    return posts if len(posts) == 2 else []


def find_codes(text: str) -> set[str]:
    return set(re.findall(r"\b\d{6}\b", text))


def test_sms_code_and_email_link_confirm_addresses(providers):
    api, sendgrid, vonage = providers
    person = api.sign_up()
    text = wait_until(lambda: get_texts(vonage, person))[0]
    assert person.confirm("phone", find_codes(text).pop()).status_code == 200
    mail = wait_until(lambda: get_emails(sendgrid, person))[0]
    (token,) = set(re.findall(r"/confirm/email/#([\w-]{43})", json.dumps(mail)))
    response = api.post("/api/v1/confirmations/email/", {"token": token})
    assert response.status_code == 200
    profile = person.profile().json()
    assert (profile["email_verified"], profile["phone_verified"]) == (True, True)


def test_delivery_receipt_sets_the_confirmation_status(providers):
    api, *_ = providers
    person = sign_up(
        providers,
        fake_provider.status(202, {"X-Message-Id": "XBg2anf2TqCy6WXKQFhieQ"}),
        fake_provider.sms({"status": "0", "message-id": "0B00000127FDBC63"}),
    )
    wait_until(lambda: get_statuses(person) == ["sent", "sent"])
    receipt_id = "XBg2anf2TqCy6WXKQFhieQ.filter0905p1mdw1-4434-59E0C6FF-3.0"
    events = [{"event": "bounce", "sg_message_id": receipt_id}]
    receipt = {"messageId": "0B00000127FDBC63", "status": "delivered"}
    assert (
        webhook_signatures.post_receipts(
            api.http, "sendgrid", events, webhook_signatures.sign_sendgrid(events)
        )
        == 204
    )
    assert (
        webhook_signatures.post_receipts(
            api.http, "vonage", receipt, webhook_signatures.sign_vonage(receipt)
        )
        == 204
    )
    assert get_statuses(person) == ["failed", "delivered"]


def report_before(
    api: ApiClient, status: str, response: fake_provider.Respond
) -> fake_provider.Respond:
    """Sends a receipt, without the provider's id, and then the response to the sending."""

    def respond(handler: fake_provider.Handler) -> None:
        request = handler.request
        if request.path == "/sms/json":
            receipt = {"client-ref": request.form["client-ref"], "status": status}
            headers = webhook_signatures.sign_vonage(receipt)
            webhook_signatures.post_receipts(api.http, "vonage", receipt, headers)
        else:
            events = [{"event": status} | request.json["custom_args"]]
            headers = webhook_signatures.sign_sendgrid(events)
            webhook_signatures.post_receipts(api.http, "sendgrid", events, headers)
        response(handler)

    return respond


@pytest.mark.parametrize("sendings", [1, 2], ids=["accepted", "sent again"])
def test_receipt_before_the_response_of_the_provider_is_kept(providers, sendings):
    api, sendgrid, vonage = providers
    response = fake_provider.accept() if sendings == 1 else fake_provider.drop()
    person = sign_up(
        providers,
        report_before(api, "bounce", response),
        report_before(api, "delivered", response),
    )
    wait_until(lambda: get_statuses(person) == ["failed", "delivered"])
    wait_until(lambda: len(get_texts(vonage, person)) == sendings)
    wait_until(lambda: len(get_emails(sendgrid, person)) == sendings)
    assert get_statuses(person) == ["failed", "delivered"]


def test_messages_of_all_kinds_have_references_without_personal_data(providers):
    api, sendgrid, vonage = providers
    person = api.sign_up()
    wait_until(lambda: get_texts(vonage, person))
    mail = wait_until(lambda: get_emails(sendgrid, person))[0]
    code = find_codes(mail["content"][0]["value"]).pop()
    assert person.confirm("email", code).status_code == 200
    assert api.post("/api/v1/sessions/", {"email": person.body["email"]}).status_code == 202
    assert person.patch({"email": f"new-{person.body['email']}"}).status_code == 200
    old_address = person.body["email"]
    wait_until(lambda: len(get_emails(sendgrid, person)) == 3)
    person.body["email"] = f"new-{old_address}"
    mails = wait_until(lambda: get_emails(sendgrid, person))
    person.body["email"] = old_address
    mails += get_emails(sendgrid, person)
    references = [mail["custom_args"]["rollcall_reference"] for mail in mails]
    assert len(set(references)) == 4
    assert all(re.fullmatch(r"\d+-[0-9a-f]{16}", reference) for reference in references)


FAILURES = {
    "down": fake_provider.status(500),
    "slow_down": fake_provider.status(429, headers={"Retry-After": "1"}),
    "hang": fake_provider.hang(),
    "drop": fake_provider.drop(),
    "garbage": fake_provider.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n???"),
}


@pytest.fixture(scope="module")
def people_by_failure(providers) -> dict[str, SignedUpPerson]:
    """Returns a person for each failure of the first message to each of their addresses."""
    api, sendgrid, vonage = providers
    payloads = {failure: sign_up_payload() for failure in FAILURES}
    for provider, channel in ((sendgrid, "email"), (vonage, "phone")):
        addresses = {name: payloads[name][channel].removeprefix("+") for name in FAILURES}
        failures = {addresses[name]: failure for name, failure in FAILURES.items()}
        provider.default_response = fake_provider.fail_first(failures, provider.default_response)
    return {failure: api.sign_up(**payload) for failure, payload in payloads.items()}


@pytest.mark.parametrize("failure", FAILURES)
def test_temporary_failure_is_retried_with_the_same_code(providers, people_by_failure, failure):
    _, sendgrid, vonage = providers
    person = people_by_failure[failure]
    texts = wait_until(lambda: wait_for_two(get_texts(vonage, person)), timeout=30)
    mails = wait_until(lambda: wait_for_two(get_emails(sendgrid, person)), timeout=30)
    assert len(set(map(str, texts))) == 1, "the same code, in the same words"
    assert mails[0] == mails[1]
    assert person.confirm("phone", find_codes(texts[0]).pop()).status_code == 200


def test_permanent_failure_is_not_retried(providers):
    api, sendgrid, vonage = providers
    rejected = sign_up(
        providers,
        fake_provider.status(400),
        fake_provider.sms({"status": "6", "error-text": "no"}),
    )
    wait_until(lambda: get_texts(vonage, rejected) and get_emails(sendgrid, rejected))
    next_one = api.sign_up()
    wait_until(lambda: get_texts(vonage, next_one) and get_emails(sendgrid, next_one))
    assert len(get_texts(vonage, rejected)) == len(get_emails(sendgrid, rejected)) == 1
