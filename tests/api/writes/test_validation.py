"""Invalid input is a 4xx that reports every field, and nothing is written."""

import json
import socket

import pytest

from tests.support.client import ApiClient, field_errors, problem_code, sign_up_payload

SIGN_UP = "/api/v1/signup/"
EMOJI = "\U0001f642"


@pytest.fixture(autouse=True)
def assert_nothing_written(django_db_access):
    """Whatever a test of this file sends leaves no row behind."""
    from domain.postgres.models import OutboxEntry, Person

    def count_rows() -> tuple[int, int]:
        return Person.objects.count(), OutboxEntry.objects.count()

    before = count_rows()
    yield
    assert count_rows() == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "malformed_json"),
        (b"name=Ada", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"name": "\xed\xa0\x80"}', "malformed_json"),
        (b'{"name": "\\ud800"}', "malformed_json"),
        (b'{"name": NaN}', "malformed_json"),
        (b"[" * 10_000 + b"]" * 10_000, "malformed_json"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "malformed_json"),
        (b'"text"', "validation_failed"),
        (b"[]", "validation_failed"),
        (b"null", "validation_failed"),
        (b"3", "validation_failed"),
        (b"", "validation_failed"),
    ],
)
def test_body_that_is_no_json_object_is_rejected(api: ApiClient, content, code):
    response = api.http.post(SIGN_UP, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert problem_code(response) == code


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "x", ""])
def test_other_content_type_is_a_415(api: ApiClient, media_type):
    response = api.http.post(
        SIGN_UP, content=json.dumps(sign_up_payload()), headers={"Content-Type": media_type}
    )
    assert response.status_code == 415
    assert problem_code(response) == "unsupported_media_type"


def pad(length: int) -> bytes:
    body = json.dumps(sign_up_payload(name="")).encode()
    return body + b" " * (length - len(body))


def test_body_of_64_kib_is_accepted_and_one_byte_more_is_a_413(api: ApiClient):
    headers = {"Content-Type": "application/json"}
    response = api.http.post(SIGN_UP, content=pad(65_536), headers=headers)
    assert field_errors(response) == {"name": "blank"}
    response = api.http.post(SIGN_UP, content=pad(65_537), headers=headers)
    assert response.status_code == 413
    assert problem_code(response) == "body_too_large"


def test_chunked_body_above_the_limit_is_a_413(api: ApiClient):
    headers = {"Content-Type": "application/json"}
    response = api.http.post(SIGN_UP, content=iter([pad(65_537)]), headers=headers)
    assert response.status_code == 413
    response = api.http.post(SIGN_UP, content=iter([pad(65_536)]), headers=headers)
    assert field_errors(response) == {"name": "blank"}


def test_every_invalid_field_is_reported(api: ApiClient):
    body: dict[str, object] = {"name": 1, "surname": None, "email": {}, "hobbies": [1]}
    body |= {"nickname": "x", "id": 7}
    assert field_errors(api.post(SIGN_UP, body)) == {
        "name": "not_a_string",
        "surname": "null",
        "email": "not_a_string",
        "phone": "required",
        "hobbies": "not_a_list",
        "nickname": "unknown_field",
        "id": "unknown_field",
    }


def test_invalid_idempotency_key_is_reported_with_the_invalid_fields(api: ApiClient):
    response = api.post(SIGN_UP, sign_up_payload(name=1), **{"Idempotency-Key": "short"})
    assert field_errors(response) == {"Idempotency-Key": "invalid", "name": "not_a_string"}


@pytest.mark.parametrize("field", ["name", "surname"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "blank"),
        (" \t ", "blank"),
        ("\u200b\u200d", "blank"),
        ("\u3164", "blank"),
        ("\u2800", "blank"),
        ("\u115f \ufe0f", "blank"),
        ("\ufb2c" * 34, "too_long"),
        ("Ada\ue000", "control_characters"),
        ("Ada\ufdd0", "control_characters"),
        ("a" * 101, "too_long"),
        (EMOJI * 101, "too_long"),
        ("e\u0301" * 101, "too_long"),
        ("A\x00da", "control_characters"),
        ("Ada\nLovelace", "control_characters"),
        ("Ada\x7f!", "control_characters"),
        ("Ada\u2028Lovelace", "control_characters"),
        (True, "not_a_string"),
        (["Ada"], "not_a_string"),
    ],
)
def test_invalid_name_is_rejected(api: ApiClient, field, value, code):
    assert field_errors(api.post(SIGN_UP, sign_up_payload(**{field: value}))) == {field: code}


@pytest.mark.parametrize(
    "email",
    [
        "", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "ada@@example.com",
        "ada@example..com", ".ada@example.com", "ada@-example.com", "ada@[127.0.0.1]",
        "ada@localhost", "ada@example.com\x00", "ada\n@example.com", "Ada <ada@example.com>",
        "ada@example.com, eve@example.com", "a" * 65 + "@example.com",
        "a@" + "b" * 63 + "." + "c" * 63 + "." + "d" * 63 + "." + "e" * 63 + ".com",
        "a" * 60_000, "a" * 60 + "@" + ".".join(["\u00e4" + "b" * 55] * 3) + ".com",
        "\u00e4" * 64 + "@" + "b" * 63 + "." + "c" * 63 + ".com", "ada\uff20example.com",
        "\u202eada@example.com", "ada@example.com.",
    ],
)  # fmt: skip  # a list to be read at a glance
def test_invalid_email_is_rejected(api: ApiClient, email):
    assert field_errors(api.post(SIGN_UP, sign_up_payload(email=email))).keys() == {"email"}


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("", "country_code_missing"),
        ("666666003", "country_code_missing"),
        ("+", "invalid"),
        ("+34", "invalid"),
        ("+34 666", "invalid"),
        ("+34 666 666 003 666 666", "invalid"),
        ("+999 666 666 003", "invalid"),
        ("+34 666 666 003 ext. 5", "invalid"),
        ("+34 abc def ghi", "invalid"),
        ("+44 7946 0000", "invalid"),
        ("+1 253 0000", "invalid"),
        ("+49151234567890123", "invalid"),
        ("tel:+34666666003;ext=5", "invalid"),
        ("\u200e666666003", "country_code_missing"),
        ("+34 666\x00666 003 9999999", "invalid"),
        ("+" * 60_000, "invalid"),
    ],
)
def test_invalid_phone_is_rejected(api: ApiClient, phone, code):
    assert field_errors(api.post(SIGN_UP, sign_up_payload(phone=phone))) == {"phone": code}


@pytest.mark.parametrize(
    ("hobbies", "code"),
    [
        (["x"] * 51, "too_many"),
        ("\n".join("x" * 51), "too_many"),
        (["x" * 101], "too_long"),
        (["a\x00b"], "control_characters"),
        ([["x"]], "not_a_list"),
        ([None], "not_a_list"),
        ({"a": 1}, "not_a_list"),
        (7, "not_a_list"),
        (["x" * 60_000], "too_long"),
    ],
)
def test_invalid_hobbies_are_rejected(api: ApiClient, hobbies, code):
    assert field_errors(api.post(SIGN_UP, sign_up_payload(hobbies=hobbies))) == {"hobbies": code}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/api/v1/", 404, "not_found"),
        ("GET", SIGN_UP, 405, "method_not_allowed"),
        ("OPTIONS", SIGN_UP, 405, "method_not_allowed"),
        ("PUT", "/api/v1/profile/", 405, "method_not_allowed"),
        ("PUT", "/confirm/email/", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
    ],
)
def test_framework_errors_are_problem_documents(api: ApiClient, method, path, status, code):
    response = api.http.request(method, path)
    assert response.status_code == status
    assert problem_code(response) == code
    assert ("allow" in response.headers) == (status == 405)


def test_unknown_host_is_a_problem_document(api: ApiClient):
    response = api.http.get("/confirm/email/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert problem_code(response) == "bad_request"


def test_admin_form_without_csrf_token_is_a_problem_document(api: ApiClient):
    response = api.http.post("/admin/login/", data={"username": "staff"})
    assert response.status_code == 403
    assert problem_code(response) == "forbidden"


def test_too_large_content_length_does_not_block_other_requests(stack, api: ApiClient):
    with socket.create_connection(("127.0.0.1", stack.port)) as connection:
        head = f"POST {SIGN_UP} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n{")
        assert api.http.get("/livez").status_code == 200
