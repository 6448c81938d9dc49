"""The pages: confirmation link and development mailbox."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    field_errors,
    problem_code,
    wait_until,
    write_process,
)


def inspect(api: ApiClient, token: Any) -> httpx.Response:
    """Sends the page's first request, before it shows the button."""
    return api.post("/confirm/email/", {"token": token})


def get_link_token(person: SignedUpPerson) -> str:
    token: str = person.message("email")["link"].partition("#")[2]
    return token


def get_stored_state(person: SignedUpPerson) -> Any:
    """Returns the rows of a person's claims, and their version."""
    from domain.postgres.models import Confirmation, Person

    rows = Confirmation.objects.filter(person_id=person.id).order_by("id").values_list()
    return [*rows, *Person.objects.filter(id=person.id).values_list("version")]


def test_page_is_the_operators_in_its_language(stack: Stack, tmp_path: Path):
    (tmp_path / "de").mkdir()
    (tmp_path / "confirm_email.html").write_text("Welcome to {{ service }}")
    (tmp_path / "de" / "confirm_email.html").write_text("Willkommen bei {{ service }}")
    with write_process(stack, MESSAGE_TEMPLATES=str(tmp_path)) as (_, url):
        texts = {
            language: httpx.get(
                f"{url}/confirm/email/", headers={"Accept-Language": language}, timeout=20
            ).text
            for language in ("de", "fr")
        }
    assert texts == {"de": "Willkommen bei Rollcall", "fr": "Welcome to Rollcall"}


def test_opening_the_link_confirms_nothing(api: ApiClient):
    person = api.sign_up()
    url, _, token = person.message("email")["link"].partition("#")
    assert token
    for path in (url, url.removesuffix("/")):
        assert api.http.get(path).status_code == 200
        assert api.http.head(path).status_code == 200
    assert not person.profile().json()["email_verified"]


def test_inspecting_a_link_returns_the_name_and_changes_nothing(django_db_access, api: ApiClient):
    person = api.sign_up(name="Ada <b>")
    person.wait_for_outbox()
    before = get_stored_state(person)
    responses = [inspect(api, get_link_token(person)) for _ in range(7)]
    assert [a.json() for a in responses] == [{"name": "Ada <b>", "state": "open"}] * 7
    assert {a.headers["cache-control"] for a in responses} == {"no-store"}
    assert get_stored_state(person) == before
    assert not person.profile().json()["email_verified"]


def test_inspection_returns_the_state_of_the_link(django_db_access, api: ApiClient):
    from django.db.models import F

    from domain.postgres.models import Confirmation

    def state() -> str:
        return str(inspect(api, token).json()["state"])

    person = api.sign_up()
    token = get_link_token(person)
    row = Confirmation.objects.filter(person_id=person.id, channel="email")
    row.update(first_attempted_at=F("first_attempted_at") - timedelta(hours=24))
    assert state() == "expired"
    row.update(first_attempted_at=F("first_attempted_at") + timedelta(minutes=5))
    assert state() == "open"
    assert api.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    assert state() == "confirmed"
    row.update(first_attempted_at=F("first_attempted_at") - timedelta(hours=24))
    assert state() == "confirmed"


def test_superseded_link_is_expired(api: ApiClient):
    person = api.sign_up()
    token = get_link_token(person)
    assert person.request("POST", "confirmations/email/resend/").status_code == 202
    assert inspect(api, token).json()["state"] == "expired"
    wait_until(lambda: len(person.messages("email")) == 2)
    assert inspect(api, get_link_token(person)).json()["state"] == "open"


def test_link_of_an_invalidated_claim_looks_open(api: ApiClient):
    losing = api.sign_up(name="Eve")
    token = get_link_token(losing)
    owner = api.sign_up(email=losing.body["email"])
    wait_until(lambda: len(owner.messages("email")) == 2)
    assert owner.confirm("email").status_code == 200
    assert inspect(api, token).json() == {"name": "Eve", "state": "open"}


def test_inspection_with_an_invalid_token_reveals_nothing(api: ApiClient):
    token = get_link_token(api.sign_up())
    altered = [
        token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in (0, 9, 11, 42)
    ]
    for invalid in (*altered, token[:-1], token + "A", "A" * 43, "x"):
        response = inspect(api, invalid)
        assert (response.status_code, problem_code(response)) == (400, "code_invalid")
    assert inspect(api, token).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"token": "required"}),
        ({"token": 1}, {"token": "not_a_string"}),
        ({"token": "é"}, {"token": "invalid"}),
        ({"token": "x", "code": "123456"}, {"code": "unknown_field"}),
    ],
)
def test_invalid_inspection_reports_its_fields(api: ApiClient, body, fields):
    assert field_errors(api.post("/confirm/email/", body)) == fields


def test_page_without_javascript_has_instructions(api: ApiClient):
    page = api.http.get("/confirm/email/").text
    text = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "type the code from the e-mail in the app" in text
    assert "do nothing" in text


def test_page_loads_nothing_external_and_sends_no_referrer(api: ApiClient):
    page = api.http.get("/confirm/email/")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in ("rollcall/confirm.js", "rollcall/pages.css"):
        assert f'"/static/{path}"' in page.text
        assert api.http.get(f"/static/{path}").status_code == 200


def test_mailbox_page_shows_newest_first_and_escapes_names(api: ApiClient):
    person = api.sign_up(name="<b>Ada</b>")
    person.message("email")
    api.sign_up(email=person.body["email"]).message("email")
    page = api.http.get("/dev/mailbox/", params={"to": person.body["email"]})
    assert person.body["email"] in page.text
    assert "<b>Ada" not in page.text
    times = [part.partition('"')[0] for part in page.text.split('<time datetime="')[1:]]
    assert len(times) >= 1
    assert times == sorted(times, reverse=True)


def test_mailbox_json_has_the_expected_keys(api: ApiClient):
    person = api.sign_up()
    for channel in ("email", "phone"):
        assert list(person.message(channel)) == [
            "channel", "to", "subject", "text", "code", "link", "sent_at",
        ]  # fmt: skip  # one line, as in the contract
        assert person.message(channel)["channel"] == channel
        assert person.message(channel)["to"] == person.body[channel]


def test_preview_has_every_message_of_a_language_in_sandboxed_frames(api: ApiClient):
    page = api.http.get("/dev/messages/", params={"language": "ar"})
    assert page.status_code == 200
    assert page.text.count("1 segment, ") == 5
    assert page.text.count("UCS-2") == 5
    frames = re.findall(r'<iframe sandbox src="([^"]+)"', page.text)
    assert len(frames) == 6
    for frame in frames:
        email = api.http.get(frame)
        assert email.status_code == 200
        assert '<html lang="ar" dir="rtl">' in email.text
        policy = email.headers["content-security-policy"]
        assert policy == (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
        )
        assert email.headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "path",
    ["/dev/messages/?language=zh", "/dev/messages/99.html", "/dev/messages/0.html?language=x"],
)
def test_preview_of_what_there_is_not_is_a_404(api: ApiClient, path):
    assert problem_code(api.http.get(path)) == "not_found"
