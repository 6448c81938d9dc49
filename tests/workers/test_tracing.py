"""OpenTelemetry: one trace from the request to the provider, and no personal data in it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until
from tests.support.fake_provider import FakeProvider, accept, hang
from tests.support.settings_process import SettingsProcess

CLIENT_SPAN = "00f067aa0ba902b7"
SPANS = {
    "POST /api/v1/signup": 1,
    "outbox": 3,
    "refresh_profile": 1,
    "send_confirmation": 2,
    "send by mailbox": 2,
}
# redis-py imports the SDK's metrics wherever they are installed.
IMPORTED = """
import sys, api.wsgi, workers.tasks
of_traces = ("opentelemetry.sdk.trace", "opentelemetry.exporter")
print([name for name in sys.modules if name.startswith(of_traces)])
"""


@pytest.fixture
def client(recorded_stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=recorded_stack.url, timeout=20) as client:
        yield client


def sign_up(client: httpx.Client, trace_id: str, **headers: str) -> SignedUpPerson:
    headers = {"traceparent": f"00-{trace_id}-{CLIENT_SPAN}-01", **headers}
    body = sign_up_payload()
    response = client.post(
        "/api/v1/signup/", params={"email": body["email"]}, json=body, headers=headers
    )
    return SignedUpPerson(ApiClient(client), response)


def find_spans(collector: FakeProvider, trace_id: str) -> list[Any]:
    """Returns the spans of a trace that have been exported."""
    spans = []
    for request in list(collector.requests):
        assert request.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for scope in resource.scope_spans:
                spans += [span for span in scope.spans if span.trace_id.hex() == trace_id]
    return spans


def wait_for_spans(collector: FakeProvider, trace_id: str) -> list[Any]:
    """Returns all spans of a sign-up."""

    def is_complete() -> list[Any]:
        spans = find_spans(collector, trace_id)
        return spans if len(spans) >= sum(SPANS.values()) else []

    return wait_until(is_complete)


def test_sign_up_is_one_trace_from_the_client_to_the_provider(collector, client):
    trace_id = uuid4().hex
    sign_up(client, trace_id)
    spans = wait_for_spans(collector, trace_id)
    assert Counter(span.name for span in spans) == SPANS
    by_id = {span.span_id: span for span in spans}
    parents = {
        (span.name, by_id[span.parent_span_id].name if span.parent_span_id in by_id else "client")
        for span in spans
    }
    assert parents == {
        ("POST /api/v1/signup", "client"),
        ("outbox", "POST /api/v1/signup"),
        ("refresh_profile", "outbox"),
        ("send_confirmation", "outbox"),
        ("send by mailbox", "send_confirmation"),
    }
    (request,) = [span for span in spans if span.name.startswith("POST")]
    assert request.parent_span_id.hex() == CLIENT_SPAN
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)


def test_traces_contain_no_address_code_or_token(collector, client):
    trace_id = uuid4().hex
    unknown = sign_up_payload()["email"]
    headers = {"tracestate": f"vendor={unknown}", "baggage": f"email={unknown}"}
    person = sign_up(client, trace_id, **headers)
    email, sms = person.message("email"), person.message("phone")
    wait_for_spans(collector, trace_id)
    exported = b"".join(request.body for request in collector.requests)
    assert b"send_confirmation" in exported
    secrets = [unknown, person.body["email"], person.body["phone"], person.token, person.id]
    secrets += [email["code"], sms["code"], email["link"].partition("#")[2], "Lovelace"]
    assert [secret for secret in secrets if secret.encode() in exported] == []


def test_failed_attempt_is_an_error_with_its_code(recorded_stack, collector, client):
    trace_id = uuid4().hex
    mailbox = recorded_stack.data_dir / "mailbox.jsonl"
    aside = mailbox.rename(recorded_stack.data_dir / "aside")
    mailbox.mkdir()  # no message can be written
    try:
        sign_up(client, trace_id)
        spans = wait_for_spans(collector, trace_id)
    finally:
        mailbox.rmdir()
        aside.rename(mailbox)
    failed = [span for span in spans if span.status.code == span.status.STATUS_CODE_ERROR]
    assert {span.name for span in failed} == {"send_confirmation", "send by mailbox"}
    for span in failed:
        attributes = {each.key: each.value.string_value for each in span.attributes}
        assert attributes["error.type"] == "mailbox_write_failed"
        assert not span.events


def test_collector_that_hangs_changes_no_response(collector, client):
    collector.default_response = hang()
    try:
        people = [sign_up(client, uuid4().hex) for _ in range(5)]
        for person in people:
            assert person.message("email")
            assert person.profile().status_code == 200
    finally:
        collector.default_response = accept()
        collector.release()


def test_sdk_is_not_imported_unless_it_is_used(load_settings: SettingsProcess):
    result = load_settings(IMPORTED, DJANGO_SETTINGS_MODULE="settings.test")
    assert (result.stdout, result.stderr) == ("[]\n", "")
