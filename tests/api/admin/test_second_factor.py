"""The admin behind a second factor, as in production: a TOTP code beside the password."""

import re
from base64 import b32decode
from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support.admin_client import LOGIN, TableParser, form_origin
from tests.support.client import write_process
from tests.support.csp import find_blocked
from tests.support.settings_process import SettingsProcess

PASSWORD = "a passphrase of the tests"
PEOPLE = "/admin/rollcall/person/"


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    """A write process that requires the second factor."""
    with write_process(stack, ADMIN_OTP_REQUIRED="true") as (_, url):
        yield url


@pytest.fixture
def username(django_db_access: None) -> str:
    """A superuser without a second factor."""
    from django.contrib.auth import get_user_model

    name = uuid4().hex
    get_user_model().objects.create_superuser(name, password=PASSWORD)
    return name


def enrol(username: str) -> bytes:
    """Runs the command; returns the secret in the URI that it prints."""
    from django.core.management import call_command

    call_command("enrol_staff", username, stdout=(stdout := StringIO()))
    uri = urlsplit(stdout.getvalue().strip())
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert uri.path == f"/Rollcall%3A{username}"
    return b32decode(parse_qs(uri.query)["secret"][0])


def get_code(secret: bytes, step: int = 0) -> str:
    """Returns what an authenticator shows `step` intervals from now (RFC 6238)."""
    from django_otp.oath import totp

    return f"{totp(secret, t0=-30 * step):06}"


def log_in(browser: httpx.Client, username: str, code: str = "") -> httpx.Response:
    form = browser.get(LOGIN)
    fields = {"username": username, "password": PASSWORD, "otp_token": code, "next": PEOPLE}
    fields["csrfmiddlewaretoken"] = TableParser(form.text).csrf
    return browser.post(LOGIN, data=fields, headers={"Origin": form_origin(form)})


def is_admitted(browser: httpx.Client) -> bool:
    return browser.get(PEOPLE).status_code == 200


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as browser:
        yield browser


def test_password_alone_admits_nobody(browser: httpx.Client, username):
    for code in ("", "000000"):
        assert log_in(browser, username, code).status_code == 200, "the form again"
        assert not is_admitted(browser)
    enrol(username)
    assert log_in(browser, username).status_code == 200
    assert not is_admitted(browser)


def test_password_and_code_admit(browser: httpx.Client, username):
    response = log_in(browser, username, get_code(enrol(username)))
    assert (response.status_code, response.headers["location"]) == (302, PEOPLE)
    assert is_admitted(browser)
    assert find_blocked(browser.get(PEOPLE)) == []


def test_login_page_has_a_policy_that_blocks_nothing_of_its_own(browser: httpx.Client):
    assert find_blocked(browser.get(LOGIN)) == []


def test_session_that_began_without_the_code_is_not_admitted(url: str, username):
    """Every page is behind it: those of Huey's dashboard are views of the same site."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    enrol(username)
    client = Client()
    client.force_login(get_user_model().objects.get(username=username))
    cookies = {"sessionid": client.cookies["sessionid"].value}
    with httpx.Client(base_url=url, timeout=20, cookies=cookies) as browser:
        for path in ("", "rollcall/person/", "rollcall/outboxentry/", "auth/user/", "jsi18n/"):
            response = browser.get(f"/admin/{path}")
            assert response.status_code == 302, path
            assert response.headers["location"].startswith(LOGIN)


def test_code_is_used_once(url: str, browser: httpx.Client, username):
    code = get_code(enrol(username))
    assert log_in(browser, username, code).status_code == 302
    with httpx.Client(base_url=url, timeout=20) as thief:
        assert log_in(thief, username, code).status_code == 200
        assert not is_admitted(thief)


def test_guesses_of_a_code_are_throttled(browser: httpx.Client, username):
    """After a wrong code even the right one has to wait: 1 s, 2 s, 4 s and so on."""
    secret = enrol(username)
    wrong = f"{(int(get_code(secret)) + 1) % 10**6:06}"
    page = log_in(browser, username, wrong).text
    assert "Invalid token" in page
    assert PASSWORD not in page
    for _ in range(5):  # instead of waiting between them
        _get_device(username).throttle_increment()
    page = log_in(browser, username, get_code(secret)).text
    assert "temporarily disabled because of 6 failed attempts" in page
    assert log_in(browser, username, get_code(secret)).status_code == 200
    assert not is_admitted(browser)


def _get_device(username: str) -> Any:
    from django_otp.plugins.otp_totp.models import TOTPDevice

    return TOTPDevice.objects.get(user__username=username)


def test_enrolling_again_replaces_a_lost_authenticator(browser: httpx.Client, username):
    lost = enrol(username)
    assert log_in(browser, username, get_code(lost)).status_code == 302
    new = enrol(username)
    assert not is_admitted(browser), "sessions of the old one end"
    assert log_in(browser, username, get_code(lost, 1)).status_code == 200
    _get_device(username).throttle_reset()
    assert log_in(browser, username, get_code(new)).status_code == 302
    assert is_admitted(browser)


def test_enrolling_an_unknown_or_ordinary_user_fails(username):
    from django.contrib.auth import get_user_model
    from django.core.management import CommandError, call_command

    get_user_model().objects.filter(username=username).update(is_staff=False)
    for name in (username, "nobody"):
        with pytest.raises(CommandError, match=f"There is no staff user {name}"):
            call_command("enrol_staff", name)


def test_admin_shows_no_secret_of_a_second_factor(browser: httpx.Client, username):
    secret = enrol(username)
    log_in(browser, username, get_code(secret))
    page = browser.get("/admin/")
    assert page.status_code == 200
    assert not re.search("otp_totp", page.text)
    assert browser.get("/admin/otp_totp/totpdevice/").status_code == 404


def test_production_requires_the_second_factor(load_settings: SettingsProcess):
    code = "from django.conf import settings; print(settings.ADMIN_OTP_REQUIRED)"
    assert load_settings(code).stdout == "True\n"
    assert load_settings(code, ADMIN_OTP_REQUIRED="false").stdout == "False\n"


def test_cookies_of_staff_are_protected_in_production(load_settings: SettingsProcess):
    names = "SESSION_COOKIE_NAME CSRF_COOKIE_NAME SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE"
    names += " SESSION_COOKIE_HTTPONLY SESSION_COOKIE_SAMESITE CSRF_COOKIE_SAMESITE"
    code = "from django.conf import settings\n"
    code += f"print(*(getattr(settings, name) for name in {names!r}.split()))"
    expected = "__Host-sessionid __Host-csrftoken True True True Lax Lax\n"
    assert load_settings(code).stdout == expected


def test_short_or_common_password_of_staff_is_rejected(django_db_access, username):
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError

    for password in ("fourteen chars", "yfdbufnjh10305070", username):
        from django.contrib.auth import get_user_model

        with pytest.raises(ValidationError):
            validate_password(password, get_user_model().objects.get(username=username))
    validate_password(PASSWORD)
