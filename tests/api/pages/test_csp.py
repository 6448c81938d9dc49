"""The Content-Security-Policy of every page, and of what is no page."""

import pytest

from tests.support.admin_client import admin_session
from tests.support.client import ApiClient
from tests.support.csp import find_blocked


@pytest.mark.parametrize(
    "path", ["/confirm/email/", "/dev/mailbox/", "/dev/messages/", "/api/v1/docs/", "/admin/login/"]
)
def test_page_has_a_policy_that_blocks_nothing_of_its_own(api: ApiClient, path):
    page = api.http.get(path)
    assert page.status_code == 200
    assert find_blocked(page) == []


def test_admin_pages_have_a_policy_that_blocks_nothing_of_their_own(stack, api: ApiClient):
    person = f"rollcall/person/{api.sign_up().id}"
    paths = [
        "",
        "rollcall/person/",
        f"{person}/change/",
        f"{person}/delete/",
        "auth/user/1/change/",
    ]
    with admin_session(stack) as staff:
        for path in (*paths, "rollcall/outboxentry/", "admin/logentry/", "password_change/"):
            page = staff.get(f"/admin/{path}")
            assert page.status_code == 200, path
            assert find_blocked(page) == [], path


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dev/mailbox.json", 200),
        ("GET", "/api/v1/schema/", 200),
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/static/rollcall/pages.css", 200),
        ("GET", "/api/v1/profile/", 401),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/signup/", 405),
        ("POST", "/api/v1/signup/", 400),
    ],
)
def test_response_that_is_no_page_may_load_nothing(api: ApiClient, method, path, status):
    response = api.http.request(method, path)
    assert response.status_code == status
    policy = response.headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"
