"""Takes the pictures of the documentation from a service that it starts, with Chromium:

python -m docs.pictures                    dashboard, outbox and mailbox, in two minutes
python -m docs.pictures LOAD_REPORT.html   that report instead
"""

import base64
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from selenium.webdriver import Chrome

from local.stack import Stack
from tests.support.admin_client import LOGIN, admin_session
from tests.support.chromium import chromium, resize
from tests.support.client import ApiClient, SignedUpPerson, wait_until

_IMAGES = Path(__file__).parent / "images"
_DASHBOARD = "/admin/hueystats/hueydashboard/"
_OUTBOX = "/admin/rollcall/outboxentry/"
_BUSY_SECONDS = 90.0
_MAX_BYTES = 150_000


def main(load_report: str | None = None) -> None:
    """Writes the pictures of the service, or that of a load report, to `docs/images`."""
    _IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "browser") as browser:
        if load_report is not None:
            browser.get(Path(load_report).resolve().as_uri())
            _save(browser, "load-report", 640)
            return
        with Stack(Path(folder) / "data", durable=False) as stack:
            _make_work(stack)
            with _broken_mailbox(stack):
                _make_failures(stack)
                _log_in(browser, stack)
                browser.get(f"{stack.url}{_DASHBOARD}")
                _save(browser, "dashboard", 1000)
                browser.get(f"{stack.url}{_OUTBOX}")
                _save(browser, "outbox", 700, width=1300)
            browser.get(f"{stack.url}/dev/mailbox/")
            _save(browser, "mailbox", 760)


def _make_work(stack: Stack) -> None:
    """Signs people up, some of whom confirm their address and sign in."""
    deadline = time.monotonic() + _BUSY_SECONDS
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        while time.monotonic() < deadline:
            people = [ApiClient(client).sign_up() for _ in range(20)]
            _confirm_and_sign_in(people[0])
            time.sleep(1)  # the dashboard's chart has a bar for each minute


def _confirm_and_sign_in(person: SignedUpPerson) -> None:
    person.confirm("email")
    person.sign_in()


@contextmanager
def _broken_mailbox(stack: Stack) -> Iterator[None]:
    """Has every message fail, because a folder is where the file of the mailbox was."""
    mailbox = stack.data_dir / "mailbox.jsonl"
    aside = mailbox.rename(stack.data_dir / "aside")
    mailbox.mkdir()
    try:
        yield
    finally:
        mailbox.rmdir()
        aside.rename(mailbox)


def _make_failures(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        for _ in range(6):
            ApiClient(client).sign_up()
    with admin_session(stack) as staff:
        wait_until(lambda: staff.get(_OUTBOX).text.count(">mailbox_write_failed<") >= 12)


def _log_in(browser: Chrome, stack: Stack) -> None:
    with admin_session(stack) as staff:
        browser.get(f"{stack.url}{LOGIN}")
        browser.add_cookie({"name": "sessionid", "value": staff.cookies["sessionid"]})
        browser.execute_script("localStorage['django.admin.navSidebarIsOpen'] = 'false'")


def _save(browser: Chrome, name: str, height: int, width: int = 1100) -> None:
    """Saves what the browser shows. Fails if the picture is large: it is part of the repository."""
    resize(browser, width, height)
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"optimizeForSpeed": False})
    data = base64.b64decode(picture["data"])
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{name}: {len(data)} bytes")
    (_IMAGES / f"{name}.png").write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
