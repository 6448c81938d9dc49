"""The page behind the link in the e-mail, as somebody in front of a browser meets it."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from local.stack import Stack
from tests.browser import chromium, resize
from tests.someone import Rollcall, Someone, eventually

# How far the page's parts moved without anybody's doing (Layout Instability API).
JUMPS = """
const done = arguments[0];
new PerformanceObserver((list) => {
  done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0));
}).observe({ type: "layout-shift", buffered: true });
setTimeout(() => done(0), 200);
"""
# The lowest contrast of a text to what is behind it (WCAG 2.2, "contrast ratio").
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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def someone(rollcall: Rollcall) -> Someone:
    return rollcall.sign_up()


def link_of(someone: Someone) -> str:
    return str(someone.message("email")["link"])


def shows(browser: Chrome, state: str, title: str) -> str:
    """The words of the page, once it shows that state."""

    def state_now() -> Any:
        return browser.execute_script("return document.querySelector('main')?.dataset.state")

    eventually(lambda: state_now() == state)
    assert browser.find_element(By.TAG_NAME, "h1").text == title
    assert browser.title == f"{title} · Rollcall"
    return browser.find_element(By.TAG_NAME, "main").text


def opened(browser: Chrome, link: str) -> None:
    browser.get("about:blank")  # or another token on the same page would not load it anew
    browser.get(link)


def console(browser: Chrome) -> list[Any]:
    """What the browser has complained of since it was asked last."""
    lines: list[Any] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # it is so
    return lines


def press(browser: Chrome) -> None:
    """Go to the button and press it, by keyboard."""
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.tag_name == "button"
    ActionChains(browser).send_keys(Keys.ENTER).perform()


def test_link_confirms_only_when_the_button_is_pressed(browser: Chrome, someone):
    opened(browser, link_of(someone))
    words = shows(browser, "open", "Confirm your e-mail address")
    assert "\nAda\n" in words
    assert "If this was not you, do nothing" in words
    assert not someone.profile().json()["email_verified"]
    press(browser)
    assert "Thank you, Ada" in shows(browser, "done", "Your e-mail address is confirmed")
    assert someone.profile().json()["email_verified"]
    # What has the focus is what a screen reader goes on from; the button is gone.
    assert browser.switch_to.active_element.tag_name == "h1"
    opened(browser, link_of(someone))
    assert "confirmed before" in shows(browser, "confirmed", "Already confirmed")
    assert not browser.find_element(By.TAG_NAME, "button").is_displayed()


def test_invalid_or_incomplete_link_is_reported(browser: Chrome, someone):
    link = link_of(someone)
    wrong = link[:-1] + ("A" if link[-1] != "A" else "B")
    for bad in (wrong, link.partition("#")[0], f"{link}{'x' * 999}"):
        opened(browser, bad)
        assert "copied whole" in shows(browser, "wrong", "This link confirms nothing")
        assert not browser.find_element(By.TAG_NAME, "button").is_displayed()


def test_second_link_in_the_same_tab_is_inspected(browser: Chrome, someone):
    link = link_of(someone)
    opened(browser, link.partition("#")[0])
    shows(browser, "wrong", "This link confirms nothing")
    browser.get(link)
    shows(browser, "open", "Confirm your e-mail address")


def test_expired_link_is_reported(browser: Chrome, someone):
    link = link_of(someone)
    opened(browser, link)
    shows(browser, "open", "Confirm your e-mail address")
    assert someone.call("POST", "confirmations/email/resend/").status_code == 202
    opened(browser, link)
    assert "24 hours" in shows(browser, "expired", "This link is too old")


def test_offline_page_offers_a_retry(browser: Chrome, someone):
    opened(browser, link_of(someone))
    shows(browser, "open", "Confirm your e-mail address")
    browser.set_network_conditions(offline=True, latency=0, throughput=-1)
    try:
        press(browser)
        shows(browser, "offline", "No connection")
    finally:
        browser.delete_network_conditions()
    assert not someone.profile().json()["email_verified"]
    # The focus has stayed on the button.
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    shows(browser, "done", "Your e-mail address is confirmed")


def test_page_reports_an_unavailable_postgres(browser: Chrome, stack: Stack, someone):
    link = link_of(someone)
    stack.services["postgres"].stop()
    try:
        opened(browser, link)
        shows(browser, "away", "Not at the moment")
    finally:
        stack.services["postgres"].start()
    press(browser)
    shows(browser, "open", "Confirm your e-mail address")


def test_rate_limited_page_shows_how_long_to_wait(browser: Chrome, django_here, someone):
    from django.conf import settings

    from api.client_ip import client_network
    from api.limits import redis_key
    from domain.stores.profiles import redis

    opened(browser, link_of(someone))
    shows(browser, "open", "Confirm your e-mail address")
    limit = settings.RATE_LIMITS["confirmation"].amount
    everybody_here = redis_key("confirmation", client_network("127.0.0.1"))
    now = int(time.time() * 1000)
    redis().hset(everybody_here, mapping={"begin": now, "count": limit, "before": 0})
    try:
        press(browser)
        assert re.search(r"in \d+ (second|minute)s?\.", shows(browser, "busy", "Too many tries"))
    finally:
        redis().delete(everybody_here)
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    shows(browser, "done", "Your e-mail address is confirmed")


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(320, 640, "light"), (390, 844, "dark"), (1280, 800, "light")]
)
def test_page_fits_is_readable_and_does_not_shift(
    browser: Chrome, someone, width, height, scheme
):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    resize(browser, width, height)
    console(browser)
    opened(browser, link_of(someone))
    shows(browser, "open", "Confirm your e-mail address")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.find_element(By.TAG_NAME, "button").size["height"] >= 44
    assert browser.execute_script(CONTRAST) >= 4.5
    assert browser.execute_async_script(JUMPS) == 0
    assert console(browser) == []  # nothing that the content security policy refuses


def test_page_is_accessible_to_screen_readers(browser: Chrome, someone):
    opened(browser, link_of(someone))
    shows(browser, "open", "Confirm your e-mail address")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    }
    assert {role for role, _ in found} >= {"banner", "main", "contentinfo", "status", "paragraph"}
    assert ("heading", "Confirm your e-mail address") in found
    assert ("button", "Confirm my address") in found
    assert not any(name in ("?", "!", "\u2713") for _, name in found), "the mark is not read out"
    ActionChains(browser).send_keys(Keys.TAB).perform()
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
