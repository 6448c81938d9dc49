"""Errors and the confirmation page in the client's language, from both processes."""

import pytest

from tests.support.client import ApiClient, problem_code, sign_up_payload

GERMAN = {"Accept-Language": "de-AT, en;q=0.5"}


@pytest.mark.parametrize(
    ("method", "path", "title", "detail"),
    [
        ("GET", "/api/v1/profile/", "Nicht angemeldet", "Sitzungstoken"),  # the read process
        ("PATCH", "/api/v1/profile/", "Nicht angemeldet", "Sitzungstoken"),  # the write process
        ("GET", "/nowhere", "Nicht gefunden", "Nicht gefunden."),
        ("PUT", "/api/v1/signup/", "Methode nicht erlaubt", "siehe Allow"),
    ],
)
def test_error_is_in_the_preferred_language(api: ApiClient, method, path, title, detail):
    body: dict[str, str] | None = {} if method == "PATCH" else None
    response = api.http.request(method, path, headers=GERMAN, json=body)
    english = api.http.request(method, path, json=body)
    assert problem_code(response) == problem_code(english)
    assert response.json()["title"] == title
    assert detail in response.json()["detail"]
    assert title != english.json()["title"]
    for each, language in ((response, "de"), (english, "en")):
        assert each.headers["content-language"] == language
        assert "Accept-Language" in each.headers["vary"]


def test_both_processes_answer_with_the_same_401(api: ApiClient):
    def get_401(method: str) -> dict[str, str]:
        headers = {"Accept-Language": "ar", "X-Request-ID": "same-request-id"}
        response = api.http.request(method, "/api/v1/profile/", headers=headers, json={})
        document: dict[str, str] = response.json()
        return document

    assert get_401("GET") == get_401("PATCH")


def test_every_wrong_field_has_a_translated_message(api: ApiClient):
    body = sign_up_payload(name="x" * 101, email="x", nickname="x", locale="zh")
    response = api.post("/api/v1/signup/", body, **{"Accept-Language": "es"})
    assert problem_code(response) == "validation_failed"
    assert response.json()["errors"] == [
        {"field": "name", "code": "too_long", "message": "Use 100 caracteres como máximo."},
        {
            "field": "email",
            "code": "invalid",
            "message": "No es una dirección de correo electrónico válida.",
        },
        {
            "field": "locale",
            "code": "not_supported",
            "message": "Este idioma no está disponible.",
        },
        {"field": "nickname", "code": "unknown_field", "message": "Campo desconocido."},
    ]


def test_success_does_not_depend_on_the_language(api: ApiClient):
    person = api.sign_up()
    for response in (person.profile(**GERMAN), person.patch({}, **GERMAN)):
        assert response.status_code == 200
        assert "content-language" not in response.headers
        assert "accept-language" not in response.headers.get("vary", "").lower()


@pytest.mark.parametrize(
    ("accept_language", "element", "title"),
    [
        ("", '<html lang="en" dir="ltr">', "Confirm your e-mail address"),
        ("fr-CA", '<html lang="fr" dir="ltr">', "Confirmez votre adresse e-mail"),
        ("ar", '<html lang="ar" dir="rtl">', "تأكيد عنوان بريدك الإلكتروني"),
    ],
)
def test_confirmation_page_is_in_the_preferred_language(
    api: ApiClient, accept_language, element, title
):
    page = api.http.get("/confirm/email/", headers={"Accept-Language": accept_language})
    assert element in page.text
    assert f"<title>{title} · Rollcall</title>" in page.text
    assert page.headers["content-language"] == (accept_language[:2] or "en")
    assert "Accept-Language" in page.headers["vary"]
