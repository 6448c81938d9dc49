"""The example web app in Chromium, from another origin than the service."""

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from local.commands import rollcall_commands
from local.example import ExampleSite
from local.processes import Process
from local.stack import Stack
from local.tcp_ports import find_free_port
from tests.support.chromium import CHROMEDRIVER, CHROMIUM, chromium, get_console_errors, resize
from tests.support.client import ApiClient, extra_service, sign_up_payload, wait_until

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="it needs Chromium and its chromedriver on the PATH"
)
PICTURES = os.environ.get("EXAMPLE_PICTURES")  # a folder to save pictures of the page in


class Page:
    """The page as its user sees it."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def find(self, selector: str) -> WebElement:
        return wait_until(lambda: self.browser.find_elements(By.CSS_SELECTOR, selector))[0]

    def fill(self, form: str, **fields: str) -> None:
        """Fills the fields of a form, and sends it."""
        for name, value in fields.items():
            field = self.find(f"{form} [name={name}]")
            field.clear()
            field.send_keys(value)
        self.click(f"{form} button")

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def wait_for(self, message: str) -> None:
        wait_until(lambda: message in self.find("#message").text, timeout=20)

    def take_picture(self, name: str) -> None:
        if PICTURES:
            self.browser.save_screenshot(f"{PICTURES}/{name}.png")


class Example(NamedTuple):
    """The URL of a service that the page may use, and that of the page for it."""

    service: str
    page: str


@pytest.fixture(scope="module")
def example(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The page as `make example` serves it, with a service that differs by its settings alone."""
    site = ExampleSite(find_free_port())
    argv = site.add_to(rollcall_commands)(stack.port, "").services["example"]
    log = tmp_path_factory.mktemp("example") / "log"
    with (
        extra_service(stack, **site.service_environment()) as (_, url),
        Process("example", argv, log),
    ):
        wait_until(lambda: is_served(site.origin))
        yield Example(url, site.url(url))


def is_served(origin: str) -> bool:
    try:
        return httpx.get(origin, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(example: Example, browser: Chrome) -> Page:
    """The page in a tab of its own, as a new visitor sees it."""
    old = browser.window_handles
    browser.switch_to.new_window("tab")
    new = browser.current_window_handle
    for each in old:
        browser.switch_to.window(each)
        browser.close()
    browser.switch_to.window(new)
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    get_console_errors(browser)
    resize(browser, 1000, 900)
    return Page(browser, example.page)


@pytest.fixture
def api(example: Example) -> Iterator[ApiClient]:
    with httpx.Client(base_url=example.service, timeout=20) as client:
        yield ApiClient(client)


def read_code(api: ApiClient, address: str, count: int = 1) -> str:
    """Returns the code in the newest message to an address, once it has so many."""
    return str(wait_until(lambda: (m := api.mailbox(address))[count - 1 :] and m)[0]["code"])


def test_person_signs_up_confirms_changes_and_ends_sessions(page: Page, api: ApiClient):
    person = sign_up_payload()
    page.take_picture("signed-out")
    page.fill("#sign-up", name="Ada", surname="Lovelace", email="ada@", phone="12", hobbies="")
    wait_until(lambda: page.find("#sign-up [name=email][aria-invalid] + .error").text)
    assert page.find("#sign-up [name=phone][aria-invalid] + .error").text
    page.take_picture("errors")

    page.fill("#sign-up", email=person["email"], phone=person["phone"], hobbies="engines\npoetry")
    page.wait_for("Welcome")
    page.take_picture("signed-up")
    for channel in ("email", "phone"):
        form = f"#confirmations [data-channel={channel}]"
        page.fill(form, code="000000")
        wait_until(lambda: page.find("#message").text)
        page.fill(form, code=read_code(api, person[channel]))
        page.wait_for("Confirmed.")
    assert page.find("#confirmations").text == "Both are confirmed."

    page.fill("#profile", name="Grace", hobbies="compilers")
    page.wait_for("Saved.")
    page.browser.refresh()
    wait_until(lambda: page.find("#profile [name=name]").get_property("value") == "Grace")
    assert page.find("#profile [name=hobbies]").get_property("value") == "compilers"

    page.click("#sign-out")
    wait_until(lambda: page.find("#signed-out").is_displayed())
    page.fill("#request-code", email=person["email"])
    page.wait_for("a code is on its way")
    page.fill("#sign-in", code=read_code(api, person["email"], count=2))
    wait_until(lambda: page.find("#signed-in").is_displayed())
    challenge = api.request_challenge(email=person["email"])
    signed_in = api.sign_in(challenge, read_code(api, person["email"], count=3))
    other = {"Authorization": f"Bearer {signed_in.json()['session']['token']}"}
    page.browser.refresh()
    wait_until(lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "#sessions li")) == 2)
    page.take_picture("sessions")
    clients = [item.text for item in page.browser.find_elements(By.CSS_SELECTOR, "#sessions li")]
    assert clients[0].startswith("Python from 127.0.0.0/24, since ")
    assert clients[1].startswith("Chrome on Linux from 127.0.0.0/24, since ")
    page.click("#sessions button")
    page.wait_for("That session has ended.")
    assert api.http.get("/api/v1/profile/", headers=other).status_code == 401
    errors = [e["message"] for e in get_console_errors(page.browser)]
    assert all("status of 400" in message for message in errors), errors  # the wrong inputs alone


def test_session_that_ended_elsewhere_signs_the_person_out(page: Page, api: ApiClient):
    person = sign_up_payload()
    page.fill("#sign-up", **{n: str(person[n]) for n in ("name", "surname", "email", "phone")})
    page.wait_for("Welcome")
    stored = page.browser.execute_script("return sessionStorage.getItem('rollcall-session')")
    token = json.loads(stored)["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert api.http.delete("/api/v1/sessions/", headers=bearer).status_code == 204
    page.fill("#profile", name="Grace")
    page.wait_for("Your session has ended.")
    assert page.find("#signed-out").is_displayed()


def test_session_in_a_cookie_is_refreshed_and_shared_by_tabs(page: Page, example: Example):
    person = sign_up_payload()
    page.click("#in-cookie")
    page.fill("#sign-up", **{n: str(person[n]) for n in ("name", "surname", "email", "phone")})
    page.wait_for("Welcome")
    script = "return JSON.stringify([sessionStorage, localStorage, document.cookie])"
    cookie = read_cookie(page)
    assert cookie["value"] not in page.browser.execute_script(script)
    page.click("#sessions button")
    page.wait_for("This session lasts until")
    assert read_cookie(page)["value"] != cookie["value"]

    first = page.browser.current_window_handle
    page.browser.switch_to.new_window("tab")
    other = Page(page.browser, example.page)
    wait_until(lambda: other.find("#profile [name=name]").get_property("value") == "Ada")
    other.click("#sign-out")
    wait_until(lambda: other.find("#signed-out").is_displayed())
    assert page.browser.get_cookies() == []
    page.browser.switch_to.window(first)
    page.fill("#profile", name="Grace")
    page.wait_for("Your session has ended.")


def read_cookie(page: Page) -> dict[str, Any]:
    (cookie,) = page.browser.get_cookies()
    attributes = [cookie[name] for name in ("name", "httpOnly", "secure", "sameSite")]
    assert attributes == ["__Host-session", True, True, "Lax"]
    return dict(cookie)
