"""The texts of messages, and names that try to change their meaning."""

import re
from functools import partial
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.model.language import SUPPORTED
from workers.messages import drafts
from workers.messages.drafts import Draft
from workers.messages.gsm7 import count_segments, count_septets, is_gsm7
from workers.messages.message import Message

pytestmark = pytest.mark.usefixtures("django_setup")

URL = "https://rollcall.test"
LINK = f"{URL}/confirm/email/#AbC-_9"
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


def make_settings(**changes: Any) -> Any:
    """Returns what messages need of Django's settings."""
    plain = {"SERVICE_NAME": "Rollcall", "PUBLIC_URL": URL, "SMS_DOMAIN": "rollcall.test"}
    return SimpleNamespace(
        **{**plain, "DEFAULT_LANGUAGE": "en", "MESSAGE_TEMPLATES": None} | changes
    )


SETTINGS = make_settings()


def render(draft: Draft, language: str | None = None, settings: Any = SETTINGS) -> Message:
    """Renders a message. Imported here: Django is set up by a fixture."""
    from workers.messages import rendering

    return rendering.render(settings, language, draft)


def email(
    service: str = "Rollcall", public_url: str = URL, language: str = "en", **changes: Any
) -> Message:
    """Returns a confirmation e-mail."""
    settings = make_settings(SERVICE_NAME=service, PUBLIC_URL=public_url)
    plain = {"to": "ada@example.org", "name": "Ada Lovelace", "code": "731964"}
    fields = {**plain, "link_token": "AbC-_9", **changes}
    return render(drafts.confirmation_email(settings, **fields), language, settings)


def sms(domain: str = "rollcall.test", language: str = "en", **changes: Any) -> Message:
    """Returns a confirmation text message."""
    settings = make_settings(SMS_DOMAIN=domain)
    plain = {"to": "+447700900123", "name": "Ada Lovelace", "code": "731964"}
    draft = drafts.confirmation_sms(settings, **{**plain, **changes})
    return render(draft, language, settings)


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


def test_email_loads_nothing_and_has_only_the_confirmation_link() -> None:
    message = email()
    page = Page(message.html)
    assert page.elements[0] == ("html", {"lang": "en", "dir": "ltr"})
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
            link_token='"><b>',
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
    assert is_gsm7(text)
    assert count_septets(text) <= 160
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
    assert count_septets(text) == 160
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
    assert count_septets(text) <= 160


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
    assert (count_septets(text) if is_gsm7(text) else None) == septets


def test_gsm_alphabet_has_127_characters_and_10_extended_ones() -> None:
    counts = [count_septets(chr(number)) for number in range(0x3000) if is_gsm7(chr(number))]
    assert (counts.count(1), counts.count(2)) == (127, 10)


# --- Sign-in codes and notices ------------------------------------------------------------------


def sign_in_code(channel: str, to: str) -> Message:
    return render(drafts.sign_in_code(SETTINGS, channel=channel, to=to, code="731964"))


def test_sign_in_code_has_its_lifetime_and_is_bound_to_the_domain() -> None:
    mail = sign_in_code("email", "ada@example.org")
    assert mail.text == (
        "Enter this code within 10 minutes to sign in at Rollcall:\n\n    731964\n\n"
        "If this was not you, do nothing, and do not share what is in this message with anyone.\n\n"
        "Rollcall, https://rollcall.test\n"
    )
    assert (mail.channel, mail.code, mail.link) == ("email", "731964", None)
    text = sign_in_code("phone", "+447700900123")
    assert text == Message("phone", "+447700900123", "", text.text, "", "731964")
    assert text.text == (
        "731964 is your Rollcall sign-in code for 10 min. If this was not you, do nothing."
        "\n\n@rollcall.test #731964"
    )


@pytest.mark.parametrize(
    "make_draft",
    [
        drafts.address_in_use_notice,
        partial(drafts.address_change_notice, changed="email"),
        partial(drafts.address_change_notice, changed="phone"),
    ],
)
@pytest.mark.parametrize("channel", ["email", "phone"])
def test_notice_names_the_service_and_has_no_code(make_draft: Any, channel: str) -> None:
    message = render(make_draft(SETTINGS, channel=channel, to="address"))
    assert (message.channel, message.to, message.code, message.link) == (
        channel,
        "address",
        None,
        None,
    )
    assert "Rollcall" in message.text
    if channel == "email":
        assert message.text.endswith("\n\nRollcall, https://rollcall.test\n")
        assert "Rollcall" in message.subject
    else:
        assert count_septets(message.text) <= 160


def test_repr_of_a_message_contains_no_secrets() -> None:
    assert repr(email()) == "Message(channel='email')"


# --- Languages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", SUPPORTED)
def test_every_message_has_code_link_and_direction_in_every_language(language: str) -> None:
    direction = "rtl" if language == "ar" else "ltr"
    english = [render(draft) for draft in drafts.samples(SETTINGS)]
    for draft, other in zip(drafts.samples(SETTINGS), english, strict=True):
        message = render(draft, language)
        assert (message.code, message.link) == (draft.code, draft.link)
        for required in filter(None, (draft.code, draft.link)):
            assert required in message.text
        if message.html:
            page = Page(message.html)
            assert page.elements[0] == ("html", {"lang": language, "dir": direction})
            assert page.tags() == Page(other.html).tags()
        assert language == "en" or message.text != other.text


@settings(max_examples=50, deadline=None)
@given(NAMES, st.sampled_from(SUPPORTED))
@example("x\n\n@evil.test #000000", "ar")
def test_name_does_not_change_the_structure_in_any_language(name: str, language: str) -> None:
    plain, message = email(language=language), email(name=name, language=language)
    assert Page(message.html).tags() == Page(plain.html).tags()
    assert message.text.count("\n") == plain.text.count("\n")
    text = sms(name=name, language=language).text
    assert text.split("\n")[1:] == ["", "@rollcall.test #731964"]
    assert count_segments(text) == 1


def test_name_code_and_link_are_isolated_from_the_direction_of_the_text() -> None:
    arabic = email(language="ar").text
    for isolated in ("Ada Lovelace", "731964", f"{LINK} "):  # no mark may be taken for the link's
        assert f"\u2068{isolated}\u2069\n" in arabic
    assert "\u2068مريم\u2069" in email(name="مريم").text
    assert "\u2068" not in email().text


@pytest.mark.parametrize("language", SUPPORTED)
def test_text_message_is_one_segment_for_names_of_usual_length(language: str) -> None:
    """In GSM's alphabet, without the accents that it lacks, for any service and longer codes."""
    from workers.messages.checks import ALWAYS_FITS

    is_arabic = language == "ar"
    short = make_settings(SERVICE_NAME="x" * 9, SMS_DOMAIN="y" * (ALWAYS_FITS - 9))
    long = make_settings(SERVICE_NAME="x" * 99, SMS_DOMAIN="a-rather-long-name.rollcall.test")
    for each in (short,) if is_arabic else (short, long):
        for draft in drafts.samples(each):
            if draft.channel == "phone":
                text = render(draft, language, each).text
                assert is_gsm7(text) != is_arabic
                assert count_segments(text) == 1, text


@pytest.mark.parametrize(
    ("text", "segments"),
    [("", 1), ("x" * 160, 1), ("x" * 161, 2), ("€" * 81, 2), ("x" * 307, 3),
     ("ç" * 70, 1), ("ç" * 71, 2), ("😀" * 36, 2), ("ç" * 135, 3)],
)  # fmt: skip  # pairs
def test_segments_are_counted_by_the_alphabet(text: str, segments: int) -> None:
    assert count_segments(text) == segments


@pytest.mark.parametrize("language", ["zh", None, ""])
def test_unknown_language_is_the_default_one(language: str | None) -> None:
    german = make_settings(DEFAULT_LANGUAGE="de")
    draft = drafts.sign_in_code(german, channel="email", to="x", code="731964")
    assert render(draft, language, german).subject == "Ihr Anmeldecode für Rollcall"
