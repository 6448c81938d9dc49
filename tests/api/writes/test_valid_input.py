"""Valid input, in the forms that people type it."""

import unicodedata

import pytest

from domain.model.address import EMAIL_MAX_BYTES, Address, Channel
from tests.support.client import ApiClient, sign_up_payload

SIGN_UP = "/api/v1/signup/"
EMOJI = "\U0001f642"


@pytest.mark.parametrize(
    "name",
    ["a", "a" * 100, EMOJI * 100, "e\u0301" * 100, "O'Neil-\u6bdb", "\u0958" * 50,
     EMOJI + "\u200d" + EMOJI, "\u200e\ufeff\u3000Ada\u00a0\u200b"],
)  # fmt: skip  # a list to be read at a glance
def test_valid_name_is_accepted(api: ApiClient, name):
    assert api.sign_up(name=name, surname=name, hobbies=[name]).profile().status_code == 200


def test_longest_values_fit_the_database(api: ApiClient):
    """In characters and bytes, before and after NFC and the A-label."""
    for character in ("a", "\u0958", "\ufb2c", EMOJI, "e\u0301"):
        length = len(unicodedata.normalize("NFC", character))
        name, domain = character * (100 // length), ".".join(["\u00e4" + "b" * 55] * 3) + ".com"
        email = sign_up_payload()["email"].partition("@")[0].ljust(58, "x") + "@" + domain
        assert len(Address(Channel.EMAIL, email).canonical) == EMAIL_MAX_BYTES
        person = api.sign_up(
            name=name, surname=name, email=email, phone="+883510012345678", hobbies=[name] * 50
        )
        assert len(person.body["name"]) == 100 // length * length
        assert person.body["email"] == email
        assert person.profile().json() == person.body


@pytest.mark.parametrize("email", ["Ada.Lovelace+x@Example.COM", "\u00e4da@ex\u00e4mple.com"])
def test_valid_email_is_accepted(api: ApiClient, email):
    assert api.sign_up(email=email).body["email"].casefold() == email.casefold()


@pytest.mark.parametrize(
    "phone",
    ["+44 20 7946 0003", "\u200e+44 20 7946 0003", "\u202a+44 (0)20\u00a07946\u20110003\u202c",
     "tel:+44-20-7946-0003", "(+44) 20/7946.0003",
     "\uff0b\uff14\uff14 20 7946 \u0660\u0660\u0660\u0663"],
)  # fmt: skip  # a list to be read at a glance
def test_valid_phone_is_stored_as_e164(api: ApiClient, phone):
    assert api.sign_up(phone=phone).body["phone"] == "+442079460003"


def test_country_of_a_new_area_code_is_judged_by_its_calling_code(
    django_db_access, monkeypatch: pytest.MonkeyPatch
):
    from django.conf import settings

    from api.writes.serializers import SignUpSerializer, ValidationFailed

    monkeypatch.setattr(settings, "SMS_COUNTRIES", ["US"])
    SignUpSerializer.parse(sign_up_payload(phone="+1 764 200 1234"))
    for phone in ("+1 416 555 0100", "+34 666 666 003", "+883 510 012 345 678"):
        with pytest.raises(ValidationFailed) as caught:
            SignUpSerializer.parse(sign_up_payload(phone=phone))
        assert [error.code for error in caught.value.errors.values()] == ["country_not_supported"]


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
