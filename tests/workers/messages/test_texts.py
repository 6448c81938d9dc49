"""The texts of messages, and names that try to change their meaning."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.messages.confirmation import confirmation_email, confirmation_sms
from workers.messages.gsm7 import gsm7_septets
from workers.providers import Message

LINK = "https://rollcall.test/confirm/email/#AbC-_9"
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


def email(**changes: Any) -> Message:
    """Returns a confirmation e-mail."""
    plain: dict[str, Any] = {
        "to": "ada@example.org",
        "name": "Ada Lovelace",
        "code": "731964",
        "link": LINK,
        "code_minutes": 15,
        "link_hours": 24,
        "public_url": "https://rollcall.test",
    }
    return confirmation_email(**{**plain, **changes})


def sms(**changes: Any) -> Message:
    """Returns a confirmation text message."""
    plain: dict[str, Any] = {
        "to": "+447700900123",
        "name": "Ada Lovelace",
        "code": "731964",
        "minutes": 10,
        "domain": "rollcall.test",
    }
    return confirmation_sms(**{**plain, **changes})


class Page(HTMLParser):
    """Parses an HTML page: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def tags(self) -> list[str]:
        """Returns the names of the elements, in order."""
        return [tag for tag, _ in self.elements]


# --- E-mail -------------------------------------------------------------------------------------


def test_email_has_sender_reason_name_code_and_link() -> None:
    message = email()
    for text in (message.text, Page(message.html).text):
        for required in ("Rollcall", "https://rollcall.test", "signed up", "Ada Lovelace"):
            assert required in text
        assert "code within 15 minutes" in text
        assert "731964" in text
        assert "link within 24 hours" in text
        assert LINK in text
        assert "If this was not you, do nothing" in text
    assert message.subject == "Confirm your e-mail address for Rollcall"
    assert (message.channel, message.to) == ("email", "ada@example.org")
    assert (message.code, message.link) == ("731964", LINK)


def test_subject_does_not_contain_the_code() -> None:
    assert "731964" not in email().subject


def test_email_after_code_expiry_has_only_the_link() -> None:
    message = email(code=None)
    for text in (message.text, Page(message.html).text):
        assert LINK in text
        assert "code" not in text
        assert "None" not in text
        assert "If that was you, open this link" in text
    assert message.code is None


def test_lifetime_of_one_unit_is_singular() -> None:
    text = email(code_minutes=1, link_hours=1).text
    assert "within 1 minute:" in text
    assert "within 1 hour:" in text


def test_email_loads_nothing_and_has_only_the_confirmation_link() -> None:
    message = email()
    page = Page(message.html)
    assert page.elements[0] == ("html", {"lang": "en"})
    links = [attributes for tag, attributes in page.elements if tag == "a"]
    assert links == [{"href": LINK}]
    assert not {"img", "script", "link", "iframe", "style", "form"} & set(page.tags())
    assert not re.search(r"src=|url\(|@import|background=", message.html)


def test_html_is_escaped() -> None:
    plain, malicious = (
        email(),
        email(
            name='"><script>alert(1)</script><img src=x>',
            service="<i>R</i>",
            public_url="https://r.test/<b>",
            link='https://r.test/#"><b>',
            code="<u>1",
        ),
    )
    assert Page(malicious.html).tags() == Page(plain.html).tags()
    assert "<script>alert(1)</script>" in Page(malicious.html).text


def test_subject_has_no_line_breaks_or_control_characters() -> None:
    assert email(service="R\r\nBcc: x\x00\x1b\u2028y").subject.endswith(" for R Bcc: x y")


def test_name_stays_on_one_line() -> None:
    text = email(name="Ada\r\n\r\nYou won!\u2028Call\x00\x07 us").text
    assert "\n    Ada You won! Call us\n" in text


@pytest.mark.parametrize("name", ["evil.example", "https://evil.example/x", "a@evil.example"])
def test_name_is_not_linkified_by_mail_clients(name: str) -> None:
    for text in (email(name=name).text, email(name=name).html):
        assert "evil. example" in text
        assert "https://evil" not in text


@pytest.mark.parametrize("name", ["J.R.R. Tolkien", "Sinéad O'Connor", "山田 太郎", "Łukasz Żak"])
def test_ordinary_name_is_unchanged(name: str) -> None:
    message = email(name=name)
    assert f"    {name}\n" in message.text
    assert name in Page(message.html).text


def test_name_cannot_change_the_text_direction() -> None:
    message = email(name="Ada\u202e\u2066 live\u202c\u2069")
    assert "Ada live" in message.text
    assert "<bdi>Ada live</bdi>" in message.html


def test_very_long_name_is_truncated() -> None:
    assert f"    {'x' * 99}…\n" in email(name="x" * 500).text


def test_text_never_starts_like_an_api_key() -> None:
    assert email(name="SG.abc.def").text.startswith("Somebody signed up")


@settings(deadline=None)  # a busy machine is no failure
@given(NAMES)
def test_name_does_not_change_the_email_structure(name: str) -> None:
    message = email(name=name)
    assert Page(message.html).tags() == Page(email().html).tags()
    assert message.text.count("\n") == email().text.count("\n")


# --- Text messages ------------------------------------------------------------------------------


def test_text_message_has_purpose_and_name() -> None:
    message = sms()
    assert message.text == (
        "731964 is your Rollcall code for 10 min. 'Ada Lovelace' signed up."
        " If this was not you, do nothing.\n\n@rollcall.test #731964"
    )
    assert message == Message("phone", "+447700900123", "", message.text, "", "731964", None)


@settings(max_examples=300, deadline=None)
@given(NAMES, st.sampled_from(["localhost", "rollcall.test", "a-rather-long-name.rollcall.test"]))
@example("€" * 100, "rollcall.test")
@example("@evil.test #000000", "rollcall.test")
@example("x\n\n@evil.test #000000", "rollcall.test")
def test_text_message_fits_one_segment_with_the_bound_code_last(name: str, domain: str) -> None:
    text = sms(name=name, domain=domain).text
    septets = gsm7_septets(text)
    assert septets is not None
    assert septets <= 160
    assert text.split("\n")[1:] == ["", f"@{domain} #731964"]
    assert "If this was not you, do nothing." in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("José Müller", "'José Müller' signed up"),
        ("Zoë Čapek", "'Zoe Capek' signed up"),
        ("Ada " * 30, "'Ada Ada "),
        ("山田 太郎", "10 min. If this"),
        ("Zoë 山田", "10 min. If this"),
        ("", "10 min. If this"),
        (" \t\n ", "10 min. If this"),
    ],
)
def test_name_is_transliterated_and_truncated_for_sms(name: str, text: str) -> None:
    assert text in sms(name=name).text


def test_long_name_fills_the_segment_exactly() -> None:
    text = sms(name="x" * 99).text
    assert gsm7_septets(text) == 160
    assert "xx..' signed up." in text


@pytest.mark.parametrize(
    ("domain", "origin_bound"),
    [
        ("localhost:8000", "@localhost #731964"),
        ("127.0.0.1:8000", "@127.0.0.1 #731964"),
        ("https://Rollcall.test:8443/x", "@rollcall.test #731964"),
        ("bücher.test", "@xn--bcher-kva.test #731964"),
    ],
)
def test_code_is_bound_to_the_host_without_port(domain: str, origin_bound: str) -> None:
    assert sms(domain=domain).text.endswith(f"\n{origin_bound}")


def test_very_long_domain_drops_the_explanation_and_not_the_code() -> None:
    domain = ".".join(["x" * 25] * 3)
    text = sms(domain=domain, name="Ada").text
    assert text == f"731964 is your Rollcall code for 10 min.\n\n@{domain} #731964"
    assert (gsm7_septets(text) or 999) <= 160


@pytest.mark.parametrize(
    ("text", "septets"),
    [
        ("", 0),
        ("abc", 3),
        ("@£ñ\n", 4),
        ("€", 2),
        ("[^]", 6),
        ("ё", None),
        ("`", None),
        ("ç", None),
    ],
)
def test_septets_are_counted_by_the_gsm_tables(text: str, septets: int | None) -> None:
    assert gsm7_septets(text) == septets


def test_gsm_alphabet_has_127_characters_and_10_extended_ones() -> None:
    counts = [gsm7_septets(chr(number)) for number in range(0x3000)]
    assert (counts.count(1), counts.count(2)) == (127, 10)


def test_repr_of_a_message_contains_no_secrets() -> None:
    assert repr(email()) == "Message(channel='email')"
