"""The admin: search, history, and actions for staff, all logged."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.admin_client import LOGIN, TableParser, admin_session, form_origin
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    wait_until,
    wait_until_readable,
)

PEOPLE = "/admin/rollcall/person/"
ACTIONS = ["resend_confirmations", "revoke_sessions"]


@pytest.fixture(scope="module")
def staff(stack: Stack) -> Iterator[httpx.Client]:
    with admin_session(stack) as browser:
        yield browser


@pytest.fixture
def person(api: ApiClient) -> SignedUpPerson:
    return api.sign_up()


def search(staff: httpx.Client, text: str) -> set[str]:
    """Returns the person ids that a search shows."""
    page = staff.get(PEOPLE, params={"q": text})
    assert page.status_code == 200
    return set(re.findall(rf"{PEOPLE}([0-9a-f-]{{36}})/change/", page.text))


def get_page(staff: httpx.Client, person: SignedUpPerson) -> str:
    page = staff.get(f"{PEOPLE}{person.id}/change/")
    assert page.status_code == 200
    return page.text


def run_action(browser: httpx.Client, person: SignedUpPerson, action: str) -> httpx.Response:
    """Selects a person in the list and runs an action; what is shown after that."""
    page = browser.get(PEOPLE, params={"q": person.id})
    assert page.status_code == 200
    return browser.post(
        PEOPLE,
        params={"q": person.id},
        data={
            "csrfmiddlewaretoken": TableParser(page.text).csrf,
            "action": action,
            "_selected_action": person.id,
        },
        headers={"Origin": form_origin(page)},
        follow_redirects=True,
    )


def erase(browser: httpx.Client, person: SignedUpPerson) -> httpx.Response:
    """Confirms the page that asks whether a person is to be deleted; what is shown after that."""
    path = f"{PEOPLE}{person.id}/delete/"
    page = browser.get(path)
    assert page.status_code == 200
    return browser.post(
        path,
        data={"csrfmiddlewaretoken": TableParser(page.text).csrf, "post": "yes"},
        headers={"Origin": form_origin(page)},
        follow_redirects=True,
    )


def get_log_entries(person: SignedUpPerson) -> list[dict[str, Any]]:
    from django.contrib.admin.models import LogEntry

    columns = ("user__username", "object_repr", "change_message")
    return list(LogEntry.objects.filter(object_id=person.id).values(*columns).order_by("id"))


def log_entry(person: SignedUpPerson, message: str) -> dict[str, Any]:
    return {"user__username": "staff", "object_repr": person.id, "change_message": message}


# --- finding -------------------------------------------------------------------------------------


def test_search_finds_by_address_in_any_spelling_and_by_id(staff, person):
    email, phone = person.body["email"], person.body["phone"]
    spaced = f" {phone[:3]} {phone[3:6]} {phone[6:9]}-{phone[9:]} "
    for text in (email, f" {email.upper()} ", phone, spaced, person.id, person.id.upper()):
        assert search(staff, text) == {person.id}, text
    assert search(staff, email[1:]) == search(staff, "nonsense") == set()


def test_search_finds_national_number_with_default_region(django_db_access, person, monkeypatch):
    from django.conf import settings

    from api.admin.search import find_person_ids

    assert find_person_ids(person.body["phone"][3:]) == []
    monkeypatch.setattr(settings, "DEFAULT_PHONE_REGION", "ES")
    assert [str(person_id) for person_id in find_person_ids(person.body["phone"][3:])] == [
        person.id
    ]


def test_search_finds_owner_and_unverified_claimants(staff, api: ApiClient, person):
    code = person.message("email")["code"]
    other = api.sign_up(email=person.body["email"])
    assert person.confirm("email", code).status_code == 200
    assert search(staff, person.body["email"]) == {person.id, other.id}
    new_email = f"new-{person.body['email']}"
    assert person.patch({"email": new_email}).status_code == 200
    assert search(staff, new_email) == {person.id}


# --- seeing --------------------------------------------------------------------------------------


def test_person_page_shows_history_and_no_secret(django_db_access, staff, person):
    from domain.postgres.models import Confirmation, Session

    person.wait_for_outbox()
    email, sms = person.message("email"), person.message("phone")
    assert person.confirm("phone", "000000").status_code == 400
    assert person.confirm("email").status_code == 200
    signed_in = person.sign_in()
    page = get_page(staff, person)
    assert "email: confirmed, 0 attempts left" in page
    assert "phone: sent, 4 attempts left" in page
    rows = [row[1:] for row in TableParser(page).rows]
    assert [[*row[:3], row[5] != "-"] for row in rows if row and row[0] in ("email", "phone")] == [
        ["phone", f"+34…{person.body['phone'][-2:]}", "1", False],
        ["email", "a…@e….com", "0", True],
    ]
    kinds = {row[0] for row in rows if len(row) >= 8 and row[2] == "Done"}
    assert kinds == {"Sign In Code", "Project Profile", "Confirmation"}
    assert len(re.findall(r"Session object \([0-9]+\)", page)) == 1
    secrets = [person.body["email"], person.body["phone"], person.token, signed_in.token]
    secrets += [email["code"], sms["code"], email["link"].partition("#")[2]]
    for row in Confirmation.objects.filter(person_id=person.id):
        secrets += [bytes(row.salt).hex(), bytes(row.key_id).hex()]
    for session in Session.objects.filter(person_id=person.id):
        secrets.append(bytes(session.digest).hex())
    pages = [page, staff.get(PEOPLE).text, staff.get("/admin/rollcall/outboxentry/").text]
    outbox_id = re.findall(r"OutboxEntry object \(([0-9]+)\)", page)[0]
    pages += [staff.get(f"/admin/rollcall/outboxentry/{outbox_id}/change/").text]
    for secret in secrets:
        pattern = re.compile(rf"(?<![0-9A-Za-z.]){re.escape(secret)}(?![0-9A-Za-z.])")
        assert [text for text in pages if pattern.search(text)] == []


def test_no_admin_model_has_a_binary_field(django_db_access):
    from django.contrib import admin
    from django.db.models import BinaryField

    models = {model for model in admin.site._registry if model._meta.app_label == "rollcall"}
    names = {model.__name__ for model in models}
    assert names == {"Person", "Tombstone", "OutboxEntry", "Event"}
    fields = [field for model in models for field in model._meta.get_fields()]
    assert [field for field in fields if isinstance(field, BinaryField)] == []


# --- doing ---------------------------------------------------------------------------------------


def test_erasing_requires_confirmation_and_a_csrf_token(staff, django_db_access, person):
    person.wait_for_outbox()
    path = f"{PEOPLE}{person.id}/delete/"
    assert staff.get(path).status_code == 200
    assert staff.post(path, data={"post": "yes"}).status_code == 403
    for action in ACTIONS:
        data = {"action": action, "_selected_action": person.id}
        assert staff.post(PEOPLE, data=data).status_code == 403
    assert person.profile().status_code == 200
    assert len(person.messages("email")) == 1
    assert get_log_entries(person) == []


def test_people_are_not_erased_in_bulk(staff, person):
    assert "delete_selected" not in staff.get(PEOPLE).text
    run_action(staff, person, "delete_selected")
    assert person.profile().status_code == 200


def test_resend_action_sends_to_pending_addresses_only(staff, django_db_access, person):
    assert person.confirm("phone").status_code == 200
    link = person.message("email")["link"]
    page = run_action(staff, person, "resend_confirmations").text
    assert "Email: another message is being sent" in page
    assert "Phone: no confirmation is pending" in page
    wait_until(lambda: len(person.messages("email")) == 2)
    assert person.message("email")["link"] != link
    assert len(person.messages("phone")) == 1
    assert get_log_entries(person) == [log_entry(person, "resent: email")]
    assert "resent: email" in staff.get(f"{PEOPLE}{person.id}/history/").text


def test_resend_action_above_the_quota_sends_and_logs_nothing(
    django_db_access, person, monkeypatch
):
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client(HTTP_HOST="localhost")
    client.force_login(get_user_model().objects.get(username="staff"))
    monkeypatch.setattr(settings, "MESSAGES_PER_NETWORK_PER_DAY", 1)
    data = {"action": "resend_confirmations", "_selected_action": person.id}
    page = client.post(PEOPLE, data, follow=True).content.decode()
    assert len(re.findall(r"not before 8\d{4} s from now", page)) == 2
    assert get_log_entries(person) == []


def test_sessions_revoked_by_staff_are_rejected_on_the_next_read(staff, django_db_access, person):
    assert (
        f"All sessions of {person.id} are revoked."
        in run_action(staff, person, "revoke_sessions").text
    )
    assert problem_code(person.profile()) == "invalid_token"
    assert get_log_entries(person) == [log_entry(person, "revoked all sessions")]


def test_erase_action_deletes_the_person_and_keeps_the_log_entry(staff, django_db_access, person):
    from domain.postgres.models import Person, Tombstone

    assert "was deleted successfully" in erase(staff, person).text
    assert problem_code(person.profile()) == "invalid_token"
    assert not Person.objects.filter(id=person.id).exists()
    assert Tombstone.objects.filter(id=person.id).exists()
    assert get_log_entries(person) == [log_entry(person, "")]
    assert staff.get(f"{PEOPLE}{person.id}/delete/").headers["location"] == "/admin/"
    assert person.id in staff.get("/admin/admin/logentry/").text
    assert person.id in staff.get("/admin/rollcall/tombstone/", params={"q": person.id}).text


def test_action_without_redis_reports_that_workers_complete_it(
    stack, staff, django_db_access, person
):
    stack.services["profiles"].stop()
    try:
        page = run_action(staff, person, "revoke_sessions").text
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    assert "Redis is unavailable" in page
    assert get_log_entries(person) == [log_entry(person, "revoked all sessions")]
    wait_until(lambda: person.profile().status_code == 401)


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "may_act", "may_erase"),
    [
        (["view_person"], False, False),
        (["view_person", "change_person"], True, False),
        (["view_person", "delete_person"], False, True),
    ],
)
def test_actions_require_their_permission(
    stack, django_db_access, person, permissions, may_act, may_erase
):
    with log_in(stack, permissions) as browser:
        assert "Confirmations" in get_page(browser, person)
        page = browser.get(PEOPLE).text
        for action in ACTIONS:
            assert (f'value="{action}"' in page) == may_act
        run_action(browser, person, "revoke_sessions")
        assert person.profile().status_code == (401 if may_act else 200)
        path = f"{PEOPLE}{person.id}/delete/"
        assert browser.get(path).status_code == (200 if may_erase else 403)
        data = {"csrfmiddlewaretoken": TableParser(page).csrf, "post": "yes"}
        assert browser.post(path, data=data).status_code == (302 if may_erase else 403)


def test_admin_requires_staff(stack, django_db_access, person):
    with log_in(stack, ["view_person", "delete_person"], is_staff=False) as browser:
        for path in (PEOPLE, *(f"{PEOPLE}{person.id}/{name}/" for name in ("change", "delete"))):
            for response in (browser.get(path), httpx.get(stack.url + path)):
                assert response.status_code == 302
                assert response.headers["location"].startswith(LOGIN)
    assert person.profile().status_code == 200


def test_method_that_a_page_does_not_have_is_a_405(api: ApiClient):
    response = api.http.request("TRACE", "/admin/login/")
    assert (response.status_code, problem_code(response)) == (405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


def log_in(stack: Stack, permissions: list[str], *, is_staff: bool = True) -> httpx.Client:
    """Returns a browser session of a user with these permissions."""
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
