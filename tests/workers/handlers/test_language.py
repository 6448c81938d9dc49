"""Each message is in the language of the person who gets it."""

from tests.support.client import ApiClient, SignedUpPerson, sign_up_payload, wait_until


def test_messages_of_a_sign_up_are_in_the_language_of_the_client(api: ApiClient):
    response = api.post("/api/v1/signup/", sign_up_payload(), **{"Accept-Language": "es-MX"})
    person = SignedUpPerson(api, response)
    email, sms = person.message("email"), person.message("phone")
    assert email["subject"] == "Confirme su correo electrónico para Rollcall"
    assert sms["text"].startswith(f"{sms['code']} es su codigo de Rollcall durante 10 min.")
    assert sms["text"].endswith(f"\n\n@rollcall.example #{sms['code']}")


def test_later_messages_follow_a_change_of_the_locale(api: ApiClient):
    person = api.sign_up(locale="es")
    assert person.confirm("email").status_code == 200
    assert person.confirm("phone").status_code == 200
    assert person.patch({"locale": "fr"}).status_code == 200
    person.request_code("email")
    assert person.message("email")["subject"] == "Votre code de connexion à Rollcall"
    assert person.patch({"email": sign_up_payload()["email"]}).status_code == 200
    wait_until(lambda: len(person.messages("phone")) == 2)
    assert "votre compte va avoir une autre adresse" in person.message("phone")["text"]
    wait_until(lambda: len(person.messages("email")) == 3)
    assert person.message("email")["subject"] == "Votre adresse e-mail à Rollcall va changer"


def test_notice_is_in_the_language_of_the_owner_and_not_of_who_signs_up(api: ApiClient):
    owner = api.sign_up(locale="it")
    assert owner.confirm("email").status_code == 200
    api.sign_up(email=owner.body["email"], locale="de")
    wait_until(lambda: len(owner.messages("email")) == 2)
    assert owner.message("email")["subject"].startswith("Qualcuno si è registrato")
