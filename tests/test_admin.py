"""The admin: staff find somebody, see what happened, and do what may be done; all on record."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.someone import Rollcall, Someone, code_of, eventually, reading_again
from tests.staff import LOGIN, Cells, logged_in, origin

PEOPLE = "/admin/stores/person/"
ACTIONS = ["resend", "end-sessions", "forget"]


@pytest.fixture(scope="module")
def staff(stack: Stack) -> Iterator[httpx.Client]:
    with logged_in(stack) as browser:
        yield browser


@pytest.fixture
def someone(rollcall: Rollcall) -> Someone:
    return rollcall.sign_up()


def found(staff: httpx.Client, text: str) -> set[str]:
    """The ids that a search shows."""
    page = staff.get(PEOPLE, params={"q": text})
    assert page.status_code == 200
    return set(re.findall(rf"{PEOPLE}([0-9a-f-]{{36}})/change/", page.text))


def page_of(staff: httpx.Client, someone: Someone) -> str:
    page = staff.get(f"{PEOPLE}{someone.id}/change/")
    assert page.status_code == 200
    return page.text


def act(browser: httpx.Client, someone: Someone, action: str) -> httpx.Response:
    """Say yes on the page that asks whether it is meant; what is shown after that."""
    path = f"{PEOPLE}{someone.id}/{action}/"
    question = browser.get(path)
    assert question.status_code == 200
    return browser.post(
        path,
        data={"csrfmiddlewaretoken": Cells(question.text).csrf},
        headers={"Origin": origin(question)},
        follow_redirects=True,
    )


def records(someone: Someone) -> list[dict[str, Any]]:
    from django.contrib.admin.models import LogEntry

    columns = ("user__username", "object_repr", "change_message")
    return list(LogEntry.objects.filter(object_id=someone.id).values(*columns).order_by("id"))


def record(someone: Someone, what: str) -> dict[str, Any]:
    return {"user__username": "staff", "object_repr": someone.id, "change_message": what}


# --- finding -------------------------------------------------------------------------------------


def test_search_finds_by_address_in_any_spelling_and_by_id(staff, someone):
    email, phone = someone.body["email"], someone.body["phone"]
    spaced = f" {phone[:3]} {phone[3:6]} {phone[6:9]}-{phone[9:]} "
    for text in (email, f" {email.upper()} ", phone, spaced, someone.id, someone.id.upper()):
        assert found(staff, text) == {someone.id}, text
    assert found(staff, email[1:]) == found(staff, "nonsense") == set()


def test_search_finds_national_number_with_default_region(
    django_here, someone, monkeypatch
):
    from django.conf import settings

    from api.staff.search import find_person_ids

    assert find_person_ids(someone.body["phone"][3:]) == []
    monkeypatch.setattr(settings, "DEFAULT_PHONE_REGION", "ES")
    assert [str(found) for found in find_person_ids(someone.body["phone"][3:])] == [someone.id]


def test_search_finds_owner_and_unverified_claimants(staff, rollcall: Rollcall, someone):
    code = someone.message("email")["code"]
    rival = rollcall.sign_up(email=someone.body["email"])
    assert someone.confirm("email", code).status_code == 200
    assert found(staff, someone.body["email"]) == {someone.id, rival.id}
    wanted = f"new-{someone.body['email']}"
    assert someone.patch({"email": wanted}).status_code == 200
    assert found(staff, wanted) == {someone.id}


# --- seeing --------------------------------------------------------------------------------------


def test_person_page_shows_history_and_no_secret(django_here, staff, someone):
    from domain.stores.models import Confirmation, Session

    someone.settled()
    email, sms = someone.message("email"), someone.message("phone")
    assert someone.confirm("phone", "000000").status_code == 400
    assert someone.confirm("email").status_code == 200
    here = someone.sign_in()
    page = page_of(staff, someone)
    rows = Cells(page).rows
    assert ["email", "confirmed", "0", "", ""] in rows
    assert any(row[:3] == ["phone", "sent", "4"] for row in rows)
    assert [row[1:3] + row[5:7] for row in rows if len(row) == 8] == [
        ["phone", f"+34…{someone.body['phone'][-2:]}", "1", ""],
        ["email", "a…@e….com", "0", "confirmed"],
    ]
    kinds = {row[1]: row[3] for row in rows if len(row) == 9}
    assert kinds == {"sign-in": "done", "profile": "done", "confirmation": "done"}
    assert "Live sessions: 1" in page
    secrets = [someone.body["email"], someone.body["phone"], someone.token, here.token]
    secrets += [email["code"], sms["code"], email["link"].partition("#")[2]]
    for row in Confirmation.objects.filter(person_id=someone.id):
        secrets += [bytes(row.salt).hex(), bytes(row.key_id).hex()]
    for session in Session.objects.filter(person_id=someone.id):
        secrets.append(bytes(session.digest).hex())
    pages = [page, staff.get(PEOPLE).text, staff.get("/admin/stores/outbox/").text]
    pages += [staff.get(f"/admin/stores/outbox/{kept_row_of(page)}/change/").text]
    for secret in secrets:
        whole = re.compile(rf"(?<![0-9A-Za-z.]){re.escape(secret)}(?![0-9A-Za-z.])")
        assert [text for text in pages if whole.search(text)] == []


def kept_row_of(page: str) -> str:
    return next(row[0] for row in Cells(page).rows if len(row) == 9)


def test_no_admin_model_has_a_binary_field(django_here):
    from django.contrib import admin
    from django.db.models import BinaryField

    ours = {model for model in admin.site._registry if model._meta.app_label == "stores"}
    assert {model.__name__ for model in ours} == {"Person", "Gone", "Outbox"}
    fields = [field for model in ours for field in model._meta.get_fields()]
    assert [field for field in fields if isinstance(field, BinaryField)] == []


# --- doing ---------------------------------------------------------------------------------------


def test_action_requires_confirmation_and_a_csrf_token(staff, django_here, someone):
    someone.settled()
    for action in ACTIONS:
        assert staff.get(f"{PEOPLE}{someone.id}/{action}/").status_code == 200
        assert staff.post(f"{PEOPLE}{someone.id}/{action}/").status_code == 403
    assert someone.profile().status_code == 200
    assert len(someone.messages("email")) == 1
    assert records(someone) == []


def test_resend_action_sends_to_pending_addresses_only(
    staff, django_here, someone
):
    assert someone.confirm("phone").status_code == 200
    link = someone.message("email")["link"]
    page = act(staff, someone, "resend").text
    assert "Email: another message is on its way" in page
    assert "Phone: nothing waits" in page
    eventually(lambda: len(someone.messages("email")) == 2)
    assert someone.message("email")["link"] != link
    assert len(someone.messages("phone")) == 1
    assert records(someone) == [record(someone, "sent again: email")]
    assert "sent again: email" in page_of(staff, someone)


def test_resend_action_above_the_quota_sends_and_logs_nothing(
    django_here, someone, monkeypatch
):
    from uuid import UUID

    from django.conf import settings
    from django.contrib.auth import get_user_model

    from api.staff.actions import ACTIONS

    user = get_user_model().objects.get(username="staff")
    monkeypatch.setattr(settings, "MESSAGES_A_DAY", 1)
    outcomes = ACTIONS[0].handler(UUID(someone.id), user)
    assert outcomes is not None
    assert all(re.search(r"not before 8\d{4} s from now", o.words) for o in outcomes)
    assert records(someone) == []


def test_sessions_revoked_by_staff_are_rejected_on_the_next_read(staff, django_here, someone):
    assert "All sessions have ended." in act(staff, someone, "end-sessions").text
    assert code_of(someone.profile()) == "invalid_token"
    assert records(someone) == [record(someone, "ended all sessions")]


def test_erase_action_deletes_the_person_and_keeps_the_log_entry(staff, django_here, someone):
    from domain.stores.models import Gone, Person

    assert f"Forgotten: {someone.id}." in act(staff, someone, "forget").text
    assert code_of(someone.profile()) == "invalid_token"
    assert not Person.objects.filter(id=someone.id).exists()
    assert Gone.objects.filter(id=someone.id).exists()
    assert records(someone) == [record(someone, "forgotten")]
    assert staff.get(f"{PEOPLE}{someone.id}/forget/").status_code == 404
    assert someone.id in staff.get("/admin/admin/logentry/").text
    assert someone.id in staff.get("/admin/stores/gone/", params={"q": someone.id}).text


def test_action_without_redis_reports_that_workers_complete_it(
    stack, staff, django_here, someone
):
    stack.services["profiles"].stop()
    try:
        page = act(staff, someone, "end-sessions").text
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    assert "Redis is away" in page
    assert records(someone) == [record(someone, "ended all sessions")]
    eventually(lambda: someone.profile().status_code == 401)


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (["view_person"], []),
        (["view_person", "change_person"], ["resend", "end-sessions"]),
        (["view_person", "delete_person"], ["forget"]),
    ],
)
def test_actions_require_their_permission(
    stack, django_here, someone, permissions, allowed
):
    with browser_of(stack, permissions) as browser:
        page = page_of(browser, someone)
        for action in ACTIONS:
            path = f"{PEOPLE}{someone.id}/{action}/"
            assert (path in page) == (action in allowed)
            assert browser.get(path).status_code == (200 if action in allowed else 403)
            token = Cells(page).csrf
            answer = browser.post(path, data={"csrfmiddlewaretoken": token})
            assert answer.status_code == (302 if action in allowed else 403)


def test_admin_requires_staff(stack, django_here, someone):
    with browser_of(stack, ["view_person", "delete_person"], is_staff=False) as browser:
        for path in (PEOPLE, *(f"{PEOPLE}{someone.id}/{name}/" for name in ("change", *ACTIONS))):
            for answer in (browser.get(path), httpx.get(stack.url + path)):
                assert answer.status_code == 302
                assert answer.headers["location"].startswith(LOGIN)
    assert someone.profile().status_code == 200


def browser_of(stack: Stack, permissions: list[str], *, is_staff: bool = True) -> httpx.Client:
    """A browser of a user with these permissions, already logged in."""
    from uuid import uuid4

    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission
    from django.test import Client

    user = get_user_model().objects.create(username=uuid4().hex, is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    cookies = {"sessionid": client.cookies["sessionid"].value}
    return httpx.Client(base_url=stack.url, timeout=20, cookies=cookies)
