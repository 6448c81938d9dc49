"""The locale of a person: by sign-up, by `Accept-Language`, and by a change."""

import pytest

from tests.support.client import ApiClient, SignedUpPerson, field_errors, sign_up_payload


def sign_up(api: ApiClient, accept_language: str = "", **fields: str) -> SignedUpPerson:
    headers = {"Accept-Language": accept_language}
    return SignedUpPerson(api, api.post("/api/v1/signup/", sign_up_payload(**fields), **headers))


def locale(person: SignedUpPerson) -> str | None:
    exported: str | None = person.request("GET", "profile/export/").json()["locale"]
    return exported


@pytest.mark.parametrize(
    ("accept_language", "fields", "expected"),
    [
        ("de-AT, en;q=0.5", {}, "de"),
        ("de", {"locale": "pt-BR"}, "pt"),
        ("zh", {}, None),
        ("", {}, None),
    ],
)
def test_locale_is_what_is_sent_or_else_what_the_client_prefers(
    api: ApiClient, accept_language, fields, expected
):
    assert locale(sign_up(api, accept_language, **fields)) == expected


@pytest.mark.parametrize(
    ("sent", "code"),
    [("zh", "not_supported"), ("", "not_supported"), (7, "not_a_string"), (None, "null")],
)
def test_unsupported_locale_is_an_error_of_its_field(api: ApiClient, sent, code):
    body = sign_up_payload(locale=sent)
    assert field_errors(api.post("/api/v1/signup/", body)) == {"locale": code}
    assert field_errors(api.sign_up().patch({"locale": sent})) == {"locale": code}


def test_change_of_the_locale_leaves_the_profile_as_it_is(django_db_access, api: ApiClient):
    from domain.postgres.models import OutboxEntry, Person

    person = sign_up(api, "de")
    before = person.profile()
    response = person.patch({"locale": "ar"})
    assert (response.status_code, response.json()) == (200, person.body)
    assert response.headers["etag"] == before.headers["etag"]
    assert person.profile().content == before.content
    assert locale(person) == "ar"
    assert Person.objects.get(id=person.id).version == 1
    rows = OutboxEntry.objects.filter(person_id=person.id, kind="project_profile")
    assert rows.count() == 1


def test_other_change_leaves_the_locale_as_it_is(api: ApiClient):
    person = sign_up(api, "fr")
    assert person.patch({"name": "Grace"}, **{"Accept-Language": "de"}).status_code == 200
    assert locale(person) == "fr"


def test_repeated_sign_up_may_prefer_another_language_but_not_send_another_locale(api: ApiClient):
    body = sign_up_payload(hobbies=["de"])
    key = {"Idempotency-Key": f"locale-of-{body['email']}"}

    def repeat(accept_language: str, **fields: str) -> tuple[int, str | None]:
        headers = key | {"Accept-Language": accept_language}
        response = api.post("/api/v1/signup/", body | fields, **headers)
        return response.status_code, response.json().get("id")

    first = repeat("de")
    assert first[0] == 201
    assert repeat("fr") == first
    assert repeat("de", locale="de")[0] == 422
