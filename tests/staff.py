"""Staff for tests: a browser that has logged in to the admin, and what it reads there."""

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

import httpx

from local.stack import Stack

LOGIN = "/admin/login/"


class Cells(HTMLParser):
    """The text of each table cell and each tile of a page, and its form's CSRF token."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.csrf = ""
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("name") == "csrfmiddlewaretoken":
            self.csrf = given["value"] or ""
        if tag == "tr" or given.get("class") == "hs-tile":
            self.rows.append([])
        if self.rows and (tag == "td" or (given.get("class") or "")[:3] in ("val", "lbl")):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "div"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data.strip()


@contextmanager
def logged_in(stack: Stack, to: str = "/admin/") -> Iterator[httpx.Client]:
    """A browser of the staff user that `devsetup` makes, logged in with the form."""
    password = (stack.data_dir / "staff-password").read_text().strip()
    with httpx.Client(base_url=stack.url, timeout=20) as browser:
        form = browser.get(LOGIN)
        fields = {
            "username": "staff",
            "password": password,
            "csrfmiddlewaretoken": Cells(form.text).csrf,
            "next": to,
        }
        answer = browser.post(LOGIN, data=fields, headers={"Origin": origin(form)})
        assert (answer.status_code, answer.headers.get("location")) == (302, to)
        yield browser


def origin(page: httpx.Response) -> str:
    """What a browser says of the page that a form was sent from (Fetch standard, "append a
    request `Origin` header"): nothing, if the page does not want to be told of.
    """
    hidden = page.headers["referrer-policy"] == "no-referrer"
    return "null" if hidden else f"{page.url.scheme}://{page.url.netloc.decode()}"
