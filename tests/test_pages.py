"""The pages for people: the link in the e-mail, and the development mailbox."""

from tests.someone import Rollcall


def test_opening_the_link_confirms_nothing_because_mail_scanners_open_links(rollcall: Rollcall):
    someone = rollcall.sign_up()
    url, _, token = someone.message("email")["link"].partition("#")
    assert token
    for path in (url, url.removesuffix("/")):
        assert rollcall.http.get(path).status_code == 200
        assert rollcall.http.head(path).status_code == 200
    assert not someone.profile().json()["email_verified"]


def test_the_page_loads_nothing_from_elsewhere_and_hides_its_address(rollcall: Rollcall):
    page = rollcall.http.get("/confirm/email/")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in ("rollcall/confirm.js", "rollcall/pages.css"):
        assert f'"/static/{path}"' in page.text
        assert rollcall.http.get(f"/static/{path}").status_code == 200


def test_the_mailbox_page_shows_the_newest_message_first_and_escapes_names(rollcall: Rollcall):
    someone = rollcall.sign_up(name="<b>Ada</b>")
    someone.message("email")
    rollcall.sign_up(email=someone.body["email"]).message("email")
    page = rollcall.http.get("/dev/mailbox/", params={"to": someone.body["email"]})
    assert someone.body["email"] in page.text
    assert "<b>Ada" not in page.text
    times = [part.partition('"')[0] for part in page.text.split('<time datetime="')[1:]]
    assert len(times) >= 1
    assert times == sorted(times, reverse=True)


def test_the_mailbox_lists_messages_with_exactly_these_keys(rollcall: Rollcall):
    someone = rollcall.sign_up()
    for channel in ("email", "phone"):
        assert list(someone.message(channel)) == [
            "channel", "to", "subject", "text", "code", "link", "sent_at",
        ]  # fmt: skip  # one line, as in the contract
        assert someone.message(channel)["channel"] == channel
        assert someone.message(channel)["to"] == someone.body[channel]
