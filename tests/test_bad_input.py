"""Bad input: each a clear 4xx that names every wrong field, and nothing is written."""

import json
import socket

import pytest

from tests.someone import Rollcall, code_of, new_body, wrong_fields

SIGN_UP = "/api/v1/signup/"
FACE = "\U0001f642"


@pytest.fixture(autouse=True)
def nothing_is_written(django_here, request):
    """Whatever a test of this file sends, unless it is marked as right, leaves no row behind."""
    from domain.stores.models import Outbox, Person

    def rows() -> tuple[int, int]:
        return Person.objects.count(), Outbox.objects.count()

    before = rows()
    yield
    if "right" not in request.node.name:
        assert rows() == before


@pytest.mark.parametrize(
    ("content", "word"),
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
def test_body_that_is_no_json_object_is_rejected(rollcall: Rollcall, content, word):
    answer = rollcall.http.post(
        SIGN_UP, content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert code_of(answer) == word


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "x", ""])
def test_other_content_type_is_a_415(rollcall: Rollcall, media_type):
    answer = rollcall.http.post(
        SIGN_UP, content=json.dumps(new_body()), headers={"Content-Type": media_type}
    )
    assert answer.status_code == 415
    assert code_of(answer) == "unsupported_media_type"


def padded(length: int) -> bytes:
    body = json.dumps(new_body(name="")).encode()
    return body + b" " * (length - len(body))


def test_body_of_64_kib_is_accepted_and_one_byte_more_is_a_413(rollcall: Rollcall):
    headers = {"Content-Type": "application/json"}
    answer = rollcall.http.post(SIGN_UP, content=padded(65_536), headers=headers)
    assert wrong_fields(answer) == {"name": "blank"}
    answer = rollcall.http.post(SIGN_UP, content=padded(65_537), headers=headers)
    assert answer.status_code == 413
    assert code_of(answer) == "body_too_large"


def test_chunked_body_above_the_limit_is_a_413(rollcall: Rollcall):
    headers = {"Content-Type": "application/json"}
    answer = rollcall.http.post(SIGN_UP, content=iter([padded(65_537)]), headers=headers)
    assert answer.status_code == 413
    answer = rollcall.http.post(SIGN_UP, content=iter([padded(65_536)]), headers=headers)
    assert wrong_fields(answer) == {"name": "blank"}


def test_every_invalid_field_is_reported(rollcall: Rollcall):
    body: dict[str, object] = {"name": 1, "surname": None, "email": {}, "hobbies": [1]}
    body |= {"nickname": "x", "id": 7}
    assert wrong_fields(rollcall.post(SIGN_UP, body)) == {
        "name": "not_a_string",
        "surname": "null",
        "email": "not_a_string",
        "phone": "required",
        "hobbies": "not_a_list",
        "nickname": "unknown_field",
        "id": "unknown_field",
    }


@pytest.mark.parametrize("field", ["name", "surname"])
@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("", "blank"),
        (" \t ", "blank"),
        ("\u200b\u200d", "blank"),
        ("a" * 101, "too_long"),
        (FACE * 101, "too_long"),
        ("e\u0301" * 101, "too_long"),
        ("A\x00da", "control_characters"),
        ("Ada\nLovelace", "control_characters"),
        ("Ada\x7f!", "control_characters"),
        ("Ada\u2028Lovelace", "control_characters"),
        (True, "not_a_string"),
        (["Ada"], "not_a_string"),
    ],
)
def test_invalid_name_is_rejected(rollcall: Rollcall, field, value, word):
    assert wrong_fields(rollcall.post(SIGN_UP, new_body(**{field: value}))) == {field: word}


@pytest.mark.parametrize("name", ["a", "a" * 100, FACE * 100, "e\u0301" * 100, "O'Neil-\u6bdb"])
def test_valid_name_is_accepted(rollcall: Rollcall, name):
    assert rollcall.sign_up(name=name).profile().status_code == 200


@pytest.mark.parametrize(
    "email",
    [
        "", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "ada@@example.com",
        "ada@example..com", ".ada@example.com", "ada@-example.com", "ada@[127.0.0.1]",
        "ada@localhost", "ada@example.com\x00", "ada\n@example.com", "Ada <ada@example.com>",
        "ada@example.com, eve@example.com", "a" * 65 + "@example.com",
        "a@" + "b" * 63 + "." + "c" * 63 + "." + "d" * 63 + "." + "e" * 63 + ".com",
        "a" * 60_000,
    ],
)  # fmt: skip  # a list to be read at a glance
def test_invalid_email_is_rejected(rollcall: Rollcall, email):
    assert wrong_fields(rollcall.post(SIGN_UP, new_body(email=email))).keys() == {"email"}


@pytest.mark.parametrize("email", ["Ada.Lovelace+x@Example.COM", "\u00e4da@ex\u00e4mple.com"])
def test_valid_email_is_accepted(rollcall: Rollcall, email):
    assert rollcall.sign_up(email=email).body["email"].casefold() == email.casefold()


@pytest.mark.parametrize(
    ("phone", "word"),
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
        ("+34 666\x00666 003 9999999", "invalid"),
        ("+" * 60_000, "invalid"),
    ],
)
def test_invalid_phone_is_rejected(rollcall: Rollcall, phone, word):
    assert wrong_fields(rollcall.post(SIGN_UP, new_body(phone=phone))) == {"phone": word}


def test_valid_phone_is_stored_as_e164(rollcall: Rollcall):
    assert rollcall.sign_up(phone="+34 666 666 003").body["phone"] == "+34666666003"


@pytest.mark.parametrize(
    ("hobbies", "word"),
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
def test_invalid_hobbies_are_rejected(rollcall: Rollcall, hobbies, word):
    assert wrong_fields(rollcall.post(SIGN_UP, new_body(hobbies=hobbies))) == {"hobbies": word}


@pytest.mark.parametrize(
    ("hobbies", "kept"),
    [
        (["x"] * 50, ["x"] * 50),
        (["b", "", " a "], ["b", "a"]),
        ("chess\r\n\n go \n", ["chess", "go"]),
        ([], []),
    ],
)
def test_valid_hobbies_keep_their_order(rollcall: Rollcall, hobbies, kept):
    assert rollcall.sign_up(hobbies=hobbies).body["hobbies"] == kept


def test_hobbies_are_optional(rollcall: Rollcall):
    body = {name: value for name, value in new_body().items() if name != "hobbies"}
    assert rollcall.post(SIGN_UP, body).json()["profile"]["hobbies"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "word"),
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
def test_framework_errors_are_problem_documents(
    rollcall: Rollcall, method, path, status, word
):
    answer = rollcall.http.request(method, path)
    assert answer.status_code == status
    assert code_of(answer) == word
    assert ("allow" in answer.headers) == (status == 405)


def test_unknown_host_is_a_problem_document(rollcall: Rollcall):
    answer = rollcall.http.get("/confirm/email/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert code_of(answer) == "bad_request"


def test_admin_form_without_csrf_token_is_a_problem_document(rollcall: Rollcall):
    answer = rollcall.http.post("/admin/login/", data={"username": "staff"})
    assert answer.status_code == 403
    assert code_of(answer) == "forbidden"


def test_too_large_content_length_does_not_block_other_requests(stack, rollcall: Rollcall):
    with socket.create_connection(("127.0.0.1", stack.port)) as liar:
        head = f"POST {SIGN_UP} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        liar.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n{")
        assert rollcall.http.get("/livez").status_code == 200
