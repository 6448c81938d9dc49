"""Valid input, in the forms that people type it."""

import pytest

from tests.support.client import ApiClient, sign_up_payload

SIGN_UP = "/api/v1/signup/"
EMOJI = "\U0001f642"


@pytest.mark.parametrize("name", ["a", "a" * 100, EMOJI * 100, "e\u0301" * 100, "O'Neil-\u6bdb"])
def test_valid_name_is_accepted(api: ApiClient, name):
    assert api.sign_up(name=name).profile().status_code == 200


@pytest.mark.parametrize("email", ["Ada.Lovelace+x@Example.COM", "\u00e4da@ex\u00e4mple.com"])
def test_valid_email_is_accepted(api: ApiClient, email):
    assert api.sign_up(email=email).body["email"].casefold() == email.casefold()


def test_valid_phone_is_stored_as_e164(api: ApiClient):
    assert api.sign_up(phone="+34 666 666 003").body["phone"] == "+34666666003"


@pytest.mark.parametrize(
    ("hobbies", "stored"),
    [
        (["x"] * 50, ["x"] * 50),
        (["b", "", " a "], ["b", "a"]),
        ("chess\r\n\n go \n", ["chess", "go"]),
        ([], []),
    ],
)
def test_valid_hobbies_keep_their_order(api: ApiClient, hobbies, stored):
    assert api.sign_up(hobbies=hobbies).body["hobbies"] == stored


def test_hobbies_are_optional(api: ApiClient):
    body = {name: value for name, value in sign_up_payload().items() if name != "hobbies"}
    assert api.post(SIGN_UP, body).json()["profile"]["hobbies"] == []
