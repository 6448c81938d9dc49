"""Sessions whose token is a cookie of the browser."""

import re
from typing import Any

import httpx
import pytest

from tests.support.client import (
    ISSUED_TOKENS,
    ApiClient,
    field_errors,
    problem_code,
    sign_up_payload,
)

NAME = "__Host-session"
PROFILE, SIGN_UP, REFRESH = "profile/", "/api/v1/signup/", "sessions/current/refresh/"


class Browser:
    """A browser with a session's cookie, and a page of the service's own origin."""

    def __init__(self, api: ApiClient, response: httpx.Response) -> None:
        self.http = api.http
        self.origin = str(api.http.base_url).rstrip("/")
        self.keep_cookie(response)

    def keep_cookie(self, response: httpx.Response) -> None:
        self.token = cookie_of(response)
        ISSUED_TOKENS.append(self.token)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Cookie": f"theme=dark; {NAME}={self.token}; lang=en", "Origin": self.origin}
        options["headers"] = headers | options.get("headers", {})
        return self.http.request(method, f"/api/v1/{path}", **options)


def cookie_of(response: httpx.Response) -> str:
    """Returns the token that a response sets, once its attributes are checked."""
    value, _, attributes = response.headers["set-cookie"].partition("; ")
    match = re.fullmatch(
        r"expires=[^;]*; HttpOnly; Max-Age=(\d+); Path=/; SameSite=Lax; Secure", attributes
    )
    assert match, attributes
    assert 29 * 86_400 < int(match[1]) <= 30 * 86_400
    name, _, token = value.partition("=")
    assert name == NAME
    return str(token)


def clears_cookie(response: httpx.Response) -> bool:
    header = response.headers.get("set-cookie", "")
    return header.startswith(f'{NAME}=""; ') and "Max-Age=0; Path=/" in header


@pytest.fixture
def browser(api: ApiClient) -> Browser:
    return Browser(api, api.post(SIGN_UP, sign_up_payload(session_cookie=True)))


def test_sign_up_sets_the_token_as_a_cookie_alone(api: ApiClient):
    response = api.post(SIGN_UP, sign_up_payload(session_cookie=True))
    assert response.status_code == 201
    assert list(response.json()["session"]) == ["token_type", "expires_at"]
    assert response.json()["session"]["token_type"] == "Cookie"
    assert cookie_of(response) not in response.text
    assert "set-cookie" not in api.post(SIGN_UP, sign_up_payload(session_cookie=False)).headers


def test_sign_in_sets_the_token_as_a_cookie_alone(api: ApiClient):
    person = api.sign_up()
    assert person.confirm("email").status_code == 200
    challenge, code = person.request_code()
    body = {"challenge": challenge, "code": code, "session_cookie": True}
    response = api.post("/api/v1/sessions/confirm/", body)
    assert (response.status_code, list(response.json())) == (201, ["session"])
    assert response.json()["session"]["token_type"] == "Cookie"
    browser = Browser(api, response)
    assert browser.request("GET", PROFILE).json()["email"] == person.body["email"]


@pytest.mark.parametrize("value", ["true", 1, None, []])
def test_session_cookie_is_true_or_false(api: ApiClient, value):
    errors = field_errors(api.post(SIGN_UP, sign_up_payload(session_cookie=value)))
    assert errors == {"session_cookie": "null" if value is None else "not_a_boolean"}


def test_repeated_sign_up_sets_a_new_cookie(api: ApiClient):
    body = sign_up_payload(session_cookie=True)
    key = {"Idempotency-Key": f"key-of-a-browser-{body['phone']}"}
    first, second = (Browser(api, api.post(SIGN_UP, body, **key)) for _ in range(2))
    assert first.token != second.token
    assert first.request("GET", PROFILE).status_code == 401
    assert second.request("GET", PROFILE).status_code == 200


def test_cookie_authenticates_every_request(browser: Browser):
    response = browser.request("GET", PROFILE)
    assert (response.status_code, response.headers["vary"]) == (200, "Authorization, Cookie")
    etag = {"If-None-Match": response.headers["etag"]}
    not_modified = browser.request("GET", PROFILE, headers=etag)
    assert (not_modified.status_code, not_modified.headers["vary"]) == (
        304,
        "Authorization, Cookie",
    )
    assert browser.request("PATCH", PROFILE, json={"name": "Grace"}).json()["name"] == "Grace"
    assert browser.request("GET", "profile/export/").json()["profile"]["name"] == "Grace"
    assert browser.request("GET", "confirmations/").json()["email"]["status"]
    wrong = browser.request("POST", "confirmations/phone/", json={"code": "000000"})
    assert problem_code(wrong) == "code_invalid"
    assert browser.request("POST", "confirmations/phone/resend/").status_code in (202, 429)
    (session,) = browser.request("GET", "sessions/").json()["sessions"]
    assert session["current"] is True


def test_refresh_by_cookie_sets_a_new_cookie(browser: Browser):
    response = browser.request("POST", REFRESH)
    assert response.status_code == 200
    assert list(response.json()["session"]) == ["token_type", "expires_at"]
    old = browser.token
    browser.keep_cookie(response)
    assert browser.token != old
    assert browser.request("PATCH", PROFILE, json={"name": "Grace"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "sessions/current/"),
        ("DELETE", "sessions/{id}/"),
        ("DELETE", "sessions/"),
        ("DELETE", PROFILE),
    ],
)
def test_cookie_is_cleared_once_its_session_has_ended(browser: Browser, method, path):
    (session,) = browser.request("GET", "sessions/").json()["sessions"]
    response = browser.request(method, path.format(id=session["id"]))
    assert (response.status_code, clears_cookie(response)) == (204, True)
    assert problem_code(browser.request("GET", PROFILE)) == "invalid_token"
    # Another tab may have signed in again since.
    assert "set-cookie" not in browser.request(method, path.format(id=session["id"])).headers


def test_cookie_stays_while_its_session_lasts(api: ApiClient):
    person = api.sign_up()
    assert person.confirm("phone").status_code == 200
    challenge, code = person.request_code("phone")
    body = {"challenge": challenge, "code": code, "session_cookie": True}
    browser = Browser(api, api.post("/api/v1/sessions/confirm/", body))
    other = person.sign_in("phone")
    sessions = browser.request("GET", "sessions/").json()["sessions"]
    (id_,) = (each["id"] for each in sessions if not each["current"])
    ended = browser.request("DELETE", f"sessions/{id_}/")
    assert (ended.status_code, "set-cookie" in ended.headers) == (204, False)
    other = person.sign_in("phone")
    by_token = other.request("DELETE", "sessions/", headers={"Cookie": f"{NAME}={browser.token}"})
    assert (by_token.status_code, "set-cookie" in by_token.headers) == (204, False)


def test_authorization_wins_over_the_cookie(browser: Browser, api: ApiClient):
    other = api.sign_up(name="Grace")
    assert browser.request("GET", PROFILE, headers=other.bearer).json()["name"] == "Grace"
    foreign = {"Origin": "https://evil.example"} | other.bearer
    assert browser.request("PATCH", PROFILE, json={}, headers=foreign).json()["name"] == "Grace"
    for authorization in ("", "Bearer x", f"Basic {browser.token}"):
        headers = {"Authorization": authorization}
        assert problem_code(browser.request("GET", PROFILE, headers=headers)) == "invalid_token"
        response = browser.request("PATCH", PROFILE, json={}, headers=headers)
        assert problem_code(response) == "invalid_token"
    refreshed = browser.request("POST", REFRESH, headers=other.bearer)
    assert refreshed.json()["session"]["token_type"] == "Bearer"
    assert "set-cookie" not in refreshed.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", None, "own, own", "https"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", PROFILE),
        ("DELETE", PROFILE),
        ("POST", REFRESH),
        ("POST", "confirmations/email/resend/"),
        ("DELETE", "sessions/"),
        ("DELETE", "sessions/current/"),
    ],
)
def test_change_by_cookie_needs_an_allowed_origin(browser: Browser, method, path, origin):
    values = {"own, own": f"{browser.origin}, {browser.origin}",
              "https": browser.origin.replace("http", "https")}  # fmt: skip  # one glance
    headers = {"Cookie": f"{NAME}={browser.token}"}
    if origin is not None:
        headers["Origin"] = values.get(origin, origin)
    response = browser.http.request(method, f"/api/v1/{path}", headers=headers)
    assert (response.status_code, problem_code(response)) == (403, "origin_not_allowed")
    assert browser.request("GET", PROFILE).status_code == 200


def test_address_is_confirmed_by_cookie_with_an_allowed_origin_alone(browser: Browser):
    options = {"json": {"code": "000000"}, "headers": {"Origin": "https://evil.example"}}
    for channel in ("email", "phone"):
        response = browser.request("POST", f"confirmations/{channel}/", **options)
        assert problem_code(response) == "origin_not_allowed"


def test_reads_by_cookie_need_no_origin(browser: Browser):
    for path in (PROFILE, "sessions/", "profile/export/"):
        for origin in ("https://evil.example", "null"):
            response = browser.request("GET", path, headers={"Origin": origin})
            assert response.status_code == 200
            assert "access-control-allow-origin" not in response.headers


def test_form_of_another_site_gets_no_cookie(api: ApiClient):
    body = b'{"name":"Eve","session_cookie":true}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": content_type, "Origin": "https://evil.example"}
        response = api.http.post(SIGN_UP, content=body, headers=headers)
        assert (response.status_code, "set-cookie" in response.headers) == (415, False)


MALFORMED = [
    'Z="TOKEN"',
    "Z=TOKENx",
    "Z=",
    "z=TOKEN",
    "xZ=TOKEN",
    "a=b Z=TOKEN",
    "a=b,Z=TOKEN",
    "Z =TOKEN",
    "Z=TOKEN; Z=TOKEN",
    "Z=TOKEN; Z=other",
    "Z=other; Z=TOKEN",
    "Z",
    "a=b",
    "",
]


@pytest.mark.parametrize("form", MALFORMED)
def test_malformed_or_ambiguous_cookie_is_no_session(browser: Browser, form):
    cookie = form.replace("Z", NAME).replace("z", NAME.lower()).replace("TOKEN", browser.token)
    for method in ("GET", "PATCH"):
        response = browser.request(method, PROFILE, json={}, headers={"Cookie": cookie})
        assert (response.status_code, problem_code(response)) == (401, "invalid_token")


@pytest.mark.parametrize("form", ["Z=TOKEN", "a; Z=TOKEN;;", "a=b;Z=TOKEN ; c", "=;\tZ=TOKEN"])
def test_cookie_is_found_among_others(browser: Browser, form):
    cookie = form.replace("Z", NAME).replace("TOKEN", browser.token)
    for method in ("GET", "PATCH"):
        response = browser.request(method, PROFILE, json={}, headers={"Cookie": cookie})
        assert response.status_code == 200


def test_many_cookies_cost_no_read_time():
    """The largest header section, in the worst cases for a search that backtracks."""
    import time

    from api.bearer import cookie_token

    for piece in (";", "; ", "__Host-session", ";__Host-session", " ", "; __Host-sessio;"):
        header = piece * (60_000 // len(piece)) + f";{NAME}=x"
        started_at = time.process_time()
        assert cookie_token(header) == "x"
        assert time.process_time() - started_at < 0.02


def test_admin_knows_no_session_cookie(browser: Browser):
    response = browser.http.get("/admin/", headers={"Cookie": f"{NAME}={browser.token}"})
    assert (response.status_code, "/admin/login/" in response.headers["location"]) == (302, True)
