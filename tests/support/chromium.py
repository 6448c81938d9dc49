"""Chromium with a profile of its own and without background traffic."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
CHROMEDRIVER = shutil.which("chromedriver")

_FLAGS = (
    "--headless",
    "--no-sandbox",  # not available to root; the browser opens pages of the tests only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Runs a browser whose data are in the folder `profile`."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    # Without a path Selenium would search the network for a driver.
    browser = Chrome(options, Service(CHROMEDRIVER))
    browser.set_page_load_timeout(30)
    try:
        yield browser
    finally:
        browser.quit()


def get_console_errors(browser: Chrome) -> list[Any]:
    """Returns the errors on the browser's console since the last call, such as violations of a
    page's Content-Security-Policy; not that the admin has no icon.
    """
    entries: list[Any] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # it is so
    return [entry for entry in entries if "/favicon.ico" not in entry["message"]]


def resize(browser: Chrome, width: int, height: int) -> None:
    """Sets the size of the viewport; widths under 600 emulate a phone."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
