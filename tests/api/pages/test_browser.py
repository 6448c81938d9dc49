"""The pages in a browser."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from local.stack import Stack
from tests.conftest import LONG
from tests.support.chromium import chromium, get_console_errors, resize
from tests.support.client import ApiClient, SignedUpPerson, wait_until
from tests.support.faults import suspended

# Layout shifts without user input (Layout Instability API).
SHIFTS = """
const done = arguments[0];
new PerformanceObserver((list) => {
  done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0));
}).observe({ type: "layout-shift", buffered: true });
setTimeout(() => done(0), 200);
"""
# The lowest contrast of text to its background (WCAG 2.2, "contrast ratio").
CONTRAST = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((value) => value / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const colour = getComputedStyle(element).backgroundColor;
  return colour.endsWith(", 0)") ? behind(element.parentElement) : colour;
};
return Math.min(...[...document.querySelectorAll("header, h1, p, button, footer")].map((e) => {
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}));
"""

# What Safari 14 and Firefox 78 do not have. An own property of an element is not reflected in its
# attribute there (ariaDisabled in Firefox before 119).
REMOVE_NEWER_APIS = """
delete AbortSignal.timeout; delete AbortSignal.any; delete AbortSignal.abort;
delete Object.groupBy; delete Array.prototype.at; delete String.prototype.at;
delete Array.prototype.findLast; delete Array.prototype.toSorted; delete Promise.withResolvers;
delete String.prototype.replaceAll; delete self.structuredClone; delete crypto.randomUUID;
delete Element.prototype.replaceChildren; delete Element.prototype.ariaDisabled;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def person(api: ApiClient) -> SignedUpPerson:
    return api.sign_up()


def get_link(person: SignedUpPerson) -> str:
    return str(person.message("email")["link"])


def wait_for_state(browser: Chrome, state: str, title: str) -> str:
    """Returns the text of the page once it shows that state."""

    def get_state() -> Any:
        return browser.execute_script("return document.querySelector('main')?.dataset.state")

    wait_until(lambda: get_state() == state)
    assert browser.find_element(By.TAG_NAME, "h1").text == title
    assert browser.title == f"{title} · Rollcall"
    return browser.find_element(By.TAG_NAME, "main").text


def open_page(browser: Chrome, link: str) -> None:
    browser.get("about:blank")  # else another token on the same page would not reload it
    browser.get(link)


def press_button(browser: Chrome) -> None:
    """Focuses the button and presses it, by keyboard."""
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.tag_name == "button"
    ActionChains(browser).send_keys(Keys.ENTER).perform()


def test_docs_page_works_under_its_policy(browser: Chrome, stack: Stack):
    get_console_errors(browser)
    browser.get(f"{stack.url}/api/v1/docs/")
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "#operations-people-signUp"))
    browser.find_element(By.CSS_SELECTOR, "#operations-people-signUp button").click()
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, ".try-out"))
    assert get_console_errors(browser) == []


def test_admin_works_under_its_policy(browser: Chrome, stack: Stack, person):
    get_console_errors(browser)
    browser.get(f"{stack.url}/admin/rollcall/person/?q={person.id}")
    password = (stack.data_dir / "staff-password").read_text().strip()
    browser.find_element(By.ID, "id_username").send_keys("staff")
    browser.find_element(By.ID, "id_password").send_keys(password, Keys.ENTER)
    wait_until(lambda: browser.find_elements(By.LINK_TEXT, person.id))[0].click()
    wait_until(lambda: "Confirmations" in browser.find_element(By.TAG_NAME, "body").text)
    browser.get(f"{stack.url}/admin/auth/user/add/")
    assert browser.find_element(By.ID, "id_username").is_displayed()
    assert get_console_errors(browser) == []


def test_link_confirms_only_when_the_button_is_pressed(browser: Chrome, person):
    open_page(browser, get_link(person))
    text = wait_for_state(browser, "open", "Confirm your e-mail address")
    assert "\nAda\n" in text
    assert "If this was not you, do nothing" in text
    assert not person.profile().json()["email_verified"]
    press_button(browser)
    assert "Thank you, Ada" in wait_for_state(
        browser, "success", "Your e-mail address is confirmed"
    )
    assert person.profile().json()["email_verified"]
    # Screen readers continue from the focus; the button is gone.
    assert browser.switch_to.active_element.tag_name == "h1"
    open_page(browser, get_link(person))
    assert "confirmed before" in wait_for_state(browser, "confirmed", "Already confirmed")
    assert not browser.find_element(By.TAG_NAME, "button").is_displayed()


def test_link_confirms_in_a_browser_of_2020(browser: Chrome, person):
    source = {"source": REMOVE_NEWER_APIS}
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        open_page(browser, get_link(person))
        wait_for_state(browser, "open", "Confirm your e-mail address")
        press_button(browser)
        wait_for_state(browser, "success", "Your e-mail address is confirmed")
        disabled = "return document.querySelector('button').getAttribute('aria-disabled')"
        assert browser.execute_script(disabled) == "false"
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    assert person.profile().json()["email_verified"]


def test_server_that_does_not_respond_is_reported(browser: Chrome, stack: Stack, person):
    link = get_link(person)
    open_page(browser, link)
    wait_for_state(browser, "open", "Confirm your e-mail address")
    # Its time limit, so that the test need not wait for it.
    browser.execute_script("const wait = setTimeout; setTimeout = (f) => wait(f, 100);")
    with suspended(stack.services["read"]):
        press_button(browser)
        wait_for_state(browser, "offline", "No connection")


def test_invalid_or_incomplete_link_is_reported(browser: Chrome, person):
    link = get_link(person)
    invalid = link[:-1] + ("A" if link[-1] != "A" else "B")
    for bad in (invalid, link.partition("#")[0], f"{link}{'x' * 999}"):
        open_page(browser, bad)
        assert "incomplete" in wait_for_state(browser, "invalid", "This link is invalid")
        assert not browser.find_element(By.TAG_NAME, "button").is_displayed()


def test_second_link_in_the_same_tab_is_inspected(browser: Chrome, person):
    link = get_link(person)
    open_page(browser, link.partition("#")[0])
    wait_for_state(browser, "invalid", "This link is invalid")
    browser.get(link)
    wait_for_state(browser, "open", "Confirm your e-mail address")


def test_expired_link_is_reported(browser: Chrome, person):
    link = get_link(person)
    open_page(browser, link)
    wait_for_state(browser, "open", "Confirm your e-mail address")
    assert person.request("POST", "confirmations/email/resend/").status_code == 202
    open_page(browser, link)
    assert "24 hours" in wait_for_state(browser, "expired", "This link has expired")


def test_offline_page_offers_a_retry(browser: Chrome, person):
    open_page(browser, get_link(person))
    wait_for_state(browser, "open", "Confirm your e-mail address")
    browser.set_network_conditions(offline=True, latency=0, throughput=-1)
    try:
        press_button(browser)
        wait_for_state(browser, "offline", "No connection")
    finally:
        browser.delete_network_conditions()
    assert not person.profile().json()["email_verified"]
    # The button keeps the focus.
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_for_state(browser, "success", "Your e-mail address is confirmed")


def test_page_reports_an_unavailable_postgres(browser: Chrome, stack: Stack, person):
    link = get_link(person)
    stack.services["postgres"].stop()
    try:
        open_page(browser, link)
        wait_for_state(browser, "unavailable", "Temporarily unavailable")
    finally:
        stack.services["postgres"].start()
    press_button(browser)
    wait_for_state(browser, "open", "Confirm your e-mail address")


def test_rate_limited_page_shows_how_long_to_wait(browser: Chrome, django_db_access, person):
    from django.conf import settings

    from api.client_ip import client_network
    from api.writes.rate_limiting import redis_key
    from tests.support.profile_redis import get_client

    open_page(browser, get_link(person))
    wait_for_state(browser, "open", "Confirm your e-mail address")
    limit = settings.RATE_LIMITS["confirmation"].amount
    all_clients = redis_key("confirmation", client_network("127.0.0.1"))
    now = int(time.time() * 1000)
    get_client().hset(all_clients, mapping={"started_at": now, "count": limit, "previous": 0})
    try:
        press_button(browser)
        assert re.search(
            r"in \d+ (second|minute)s?\.",
            wait_for_state(browser, "rate_limited", "Too many attempts"),
        )
    finally:
        get_client().delete(all_clients)
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    wait_for_state(browser, "success", "Your e-mail address is confirmed")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(320, 640, "light"), (1280, 800, "dark"), *([(390, 844, "dark")] if LONG else [])],
)
def test_page_fits_is_readable_and_does_not_shift(browser: Chrome, person, width, height, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    resize(browser, width, height)
    get_console_errors(browser)
    open_page(browser, get_link(person))
    wait_for_state(browser, "open", "Confirm your e-mail address")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.find_element(By.TAG_NAME, "button").size["height"] >= 44
    assert browser.execute_script(CONTRAST) >= 4.5
    assert browser.execute_async_script(SHIFTS) == 0
    assert get_console_errors(browser) == []  # no violation of the content security policy


def test_page_is_accessible_to_screen_readers(browser: Chrome, person):
    open_page(browser, get_link(person))
    wait_for_state(browser, "open", "Confirm your e-mail address")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    shifts = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    }
    assert {role for role, _ in shifts} >= {"banner", "main", "contentinfo", "status", "paragraph"}
    assert ("heading", "Confirm your e-mail address") in shifts
    assert ("button", "Confirm my address") in shifts
    assert not any(name in ("?", "!", "\u2713") for _, name in shifts), "the mark is not read out"
    ActionChains(browser).send_keys(Keys.TAB).perform()
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
