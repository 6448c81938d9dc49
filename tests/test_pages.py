"""The pages for people: the link in the e-mail, and the development mailbox."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.someone import Rollcall, Someone, code_of, eventually, wrong_fields


def look(rollcall: Rollcall, token: Any) -> httpx.Response:
    """What the page's script asks before it shows the button."""
    return rollcall.post("/confirm/email/", {"token": token})


def token_of(someone: Someone) -> str:
    token: str = someone.message("email")["link"].partition("#")[2]
    return token


def kept(someone: Someone) -> Any:
    """All that Postgres keeps of somebody's claims, and their version."""
    from domain.stores.models import Confirmation, Person

    rows = Confirmation.objects.filter(person_id=someone.id).order_by("id").values_list()
    return [*rows, *Person.objects.filter(id=someone.id).values_list("version")]


def test_opening_the_link_confirms_nothing(rollcall: Rollcall):
    someone = rollcall.sign_up()
    url, _, token = someone.message("email")["link"].partition("#")
    assert token
    for path in (url, url.removesuffix("/")):
        assert rollcall.http.get(path).status_code == 200
        assert rollcall.http.head(path).status_code == 200
    assert not someone.profile().json()["email_verified"]


def test_inspecting_a_link_returns_the_name_and_changes_nothing(django_here, rollcall: Rollcall):
    someone = rollcall.sign_up(name="Ada <b>")
    someone.settled()
    before = kept(someone)
    answers = [look(rollcall, token_of(someone)) for _ in range(7)]
    assert [a.json() for a in answers] == [{"name": "Ada <b>", "state": "open"}] * 7
    assert {a.headers["cache-control"] for a in answers} == {"no-store"}
    assert kept(someone) == before
    assert not someone.profile().json()["email_verified"]


def test_inspection_returns_the_state_of_the_link(django_here, rollcall: Rollcall):
    from django.db.models import F

    from domain.stores.models import Confirmation

    def state() -> str:
        return str(look(rollcall, token).json()["state"])

    someone = rollcall.sign_up()
    token = token_of(someone)
    row = Confirmation.objects.filter(person_id=someone.id, channel="email")
    row.update(first_sent_at=F("first_sent_at") - timedelta(hours=24))
    assert state() == "expired"
    row.update(first_sent_at=F("first_sent_at") + timedelta(minutes=5))
    assert state() == "open"
    assert rollcall.post("/api/v1/confirmations/email/", {"token": token}).status_code == 200
    assert state() == "confirmed"
    row.update(first_sent_at=F("first_sent_at") - timedelta(hours=24))
    assert state() == "confirmed"


def test_superseded_link_is_expired(rollcall: Rollcall):
    someone = rollcall.sign_up()
    token = token_of(someone)
    assert someone.call("POST", "confirmations/email/resend/").status_code == 202
    assert look(rollcall, token).json()["state"] == "expired"
    eventually(lambda: len(someone.messages("email")) == 2)
    assert look(rollcall, token_of(someone)).json()["state"] == "open"


def test_link_of_an_invalidated_claim_looks_open(rollcall: Rollcall):
    loser = rollcall.sign_up(name="Eve")
    token = token_of(loser)
    owner = rollcall.sign_up(email=loser.body["email"])
    eventually(lambda: len(owner.messages("email")) == 2)
    assert owner.confirm("email").status_code == 200
    assert look(rollcall, token).json() == {"name": "Eve", "state": "open"}


def test_inspection_with_an_invalid_token_reveals_nothing(rollcall: Rollcall):
    token = token_of(rollcall.sign_up())
    turned = [
        token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in (0, 9, 11, 42)
    ]
    for bad in (*turned, token[:-1], token + "A", "A" * 43, "x"):
        answer = look(rollcall, bad)
        assert (answer.status_code, code_of(answer)) == (400, "code_invalid")
    assert look(rollcall, token).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"token": "required"}),
        ({"token": 1}, {"token": "not_a_string"}),
        ({"token": "é"}, {"token": "invalid"}),
        ({"token": "x", "code": "123456"}, {"code": "unknown_field"}),
    ],
)
def test_invalid_inspection_reports_its_fields(rollcall: Rollcall, body, fields):
    assert wrong_fields(rollcall.post("/confirm/email/", body)) == fields


def test_page_without_javascript_has_instructions(rollcall: Rollcall):
    page = rollcall.http.get("/confirm/email/").text
    words = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "type the code from the e-mail in the app" in words
    assert "do nothing" in words


def test_page_loads_nothing_external_and_sends_no_referrer(rollcall: Rollcall):
    page = rollcall.http.get("/confirm/email/")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in ("rollcall/confirm.js", "rollcall/pages.css"):
        assert f'"/static/{path}"' in page.text
        assert rollcall.http.get(f"/static/{path}").status_code == 200


def test_mailbox_page_shows_newest_first_and_escapes_names(rollcall: Rollcall):
    someone = rollcall.sign_up(name="<b>Ada</b>")
    someone.message("email")
    rollcall.sign_up(email=someone.body["email"]).message("email")
    page = rollcall.http.get("/dev/mailbox/", params={"to": someone.body["email"]})
    assert someone.body["email"] in page.text
    assert "<b>Ada" not in page.text
    times = [part.partition('"')[0] for part in page.text.split('<time datetime="')[1:]]
    assert len(times) >= 1
    assert times == sorted(times, reverse=True)


def test_mailbox_json_has_the_expected_keys(rollcall: Rollcall):
    someone = rollcall.sign_up()
    for channel in ("email", "phone"):
        assert list(someone.message(channel)) == [
            "channel", "to", "subject", "text", "code", "link", "sent_at",
        ]  # fmt: skip  # one line, as in the contract
        assert someone.message(channel)["channel"] == channel
        assert someone.message(channel)["to"] == someone.body[channel]
