"""An admin session for tests, and a parser of admin pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

import httpx

from local.stack import Stack

LOGIN = "/admin/login/"


class TableParser(HTMLParser):
    """Parses the text of table cells and tiles of a page, and its form's CSRF token."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.csrf = ""
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if attributes.get("name") == "csrfmiddlewaretoken":
            self.csrf = attributes["value"] or ""
        if tag == "tr" or attributes.get("class") == "hs-tile":
            self.rows.append([])
        if self.rows and (tag == "td" or (attributes.get("class") or "")[:3] in ("val", "lbl")):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "div"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data.strip()


@contextmanager
def admin_session(stack: Stack, next_path: str = "/admin/") -> Iterator[httpx.Client]:
    """Logs the staff user that `bootstrap_dev` creates in, with the form; yields the browser."""
    password = (stack.data_dir / "staff-password").read_text().strip()
    with httpx.Client(base_url=stack.url, timeout=20) as browser:
        form = browser.get(LOGIN)
        fields = {
            "username": "staff",
            "password": password,
            "csrfmiddlewaretoken": TableParser(form.text).csrf,
            "next": next_path,
        }
        response = browser.post(LOGIN, data=fields, headers={"Origin": form_origin(form)})
        assert (response.status_code, response.headers.get("location")) == (302, next_path)
        yield browser


def form_origin(page: httpx.Response) -> str:
    """Returns the `Origin` that a browser sends with a form of this page (Fetch standard, "append a
    request `Origin` header"); "null" if the page's referrer policy is no-referrer.
    """
    is_hidden = page.headers["referrer-policy"] == "no-referrer"
    return "null" if is_hidden else f"{page.url.scheme}://{page.url.netloc.decode()}"
