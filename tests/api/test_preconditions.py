"""Preconditions on every method of the profile (RFC 9110 section 13)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from api.preconditions import evaluate_preconditions
from local.stack import Stack
from tests.support.client import ApiClient, SignedUpPerson, problem_code

TAG = '"current"'


@pytest.fixture(scope="module")
def shared_person(stack: Stack) -> Iterator[SignedUpPerson]:
    """One person for all rows: none of their requests changes anything."""
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield ApiClient(client).sign_up()


# --- lists of entity tags ------------------------------------------------------------------------

MATCHING_LISTS = [
    "{tag}",
    " \t{tag}\t ",
    '"x", {tag}',
    '{tag}, "x"',
    '"x",{tag}',
    'W/"x", {tag}',
    '{tag}, W/"x"',
    '"a,b", {tag}',
    '"a, ", {tag}',
    '"a b", {tag}',  # RFC 2616 allowed spaces
    '"W/", {tag}',
    '"", {tag}',
    '"\x80\xff", {tag}',
    ", {tag}",
    "{tag},",
    ",, \t,{tag} ,, ",
    '"x", , {tag}',
    ", ".join(['"x"'] * 500) + ", {tag}",
    "W/{tag}, {tag}",
]
OTHER_LISTS = [
    "",
    " ",
    ",",
    '"x"',
    'W/"x"',
    '""',
    '"{tag}',
    "{tag}x",
    "x{tag}",
    "{tag} {tag}",
    '{tag} "x"',
    "{tag}; {tag}",
    "garbage, {tag}",
    "{tag}, garbage",
    "*, {tag}",
    "*,",
    "{tag}, *",
    "**",
    '"*"',
    "w/{tag}",
    "W/ {tag}",
    "W{tag}",
    "W/W/{tag}",
    '"x", {tag}, "',
    "'x', {tag}",
    '"\\"{tag}',
    "current",
    "\x80",
    '"' * 1001,
    '"x" ' * 500,
    ("," + " " * 20) * 300 + "x",  # a text to backtrack in for ever
]
STATUS_OF_FAILED = {"GET": 304, "HEAD": 304, "PATCH": 412, "DELETE": 412}


@pytest.mark.parametrize("value", MATCHING_LISTS)
def test_list_with_the_current_tag_matches(value):
    value = value.replace("{tag}", TAG)
    for method, status in STATUS_OF_FAILED.items():
        assert evaluate_preconditions(method, TAG, if_match=value) is None
        assert evaluate_preconditions(method, TAG, if_none_match=value) == status


@pytest.mark.parametrize("value", OTHER_LISTS)
def test_other_or_malformed_list_never_matches(value):
    value = value.replace("{tag}", TAG)
    for method in STATUS_OF_FAILED:
        assert evaluate_preconditions(method, TAG, if_match=value) == 412
        assert evaluate_preconditions(method, TAG, if_none_match=value) is None


def test_weak_tag_matches_only_weakly():
    for value in (f"W/{TAG}", f'"x", W/{TAG}', f'W/"x" , W/{TAG}'):
        for method, status in STATUS_OF_FAILED.items():
            assert evaluate_preconditions(method, TAG, if_match=value) == 412
            assert evaluate_preconditions(method, TAG, if_none_match=value) == status


def test_asterisk_matches_any_current_representation():
    for value in ("*", " * "):
        for method, status in STATUS_OF_FAILED.items():
            assert evaluate_preconditions(method, TAG, if_match=value) is None
            assert evaluate_preconditions(method, TAG, if_none_match=value) == status


# --- over HTTP -----------------------------------------------------------------------------------

# Headers ({tag} is the current one), and the statuses of GET, HEAD, and PATCH without a change.
HTTP_ROWS: dict[str, tuple[dict[str, str], int, int]] = {
    "no precondition": ({}, 200, 200),
    "If-Match: the current tag": ({"If-Match": "{tag}"}, 200, 200),
    "If-Match: a list": ({"If-Match": 'W/"x", {tag}'}, 200, 200),
    "If-Match: an asterisk": ({"If-Match": "*"}, 200, 200),
    "If-Match: a stale tag": ({"If-Match": '"stale"'}, 412, 412),
    "If-Match: a weak tag": ({"If-Match": "W/{tag}"}, 412, 412),
    "If-Match: unquoted": ({"If-Match": "nonsense"}, 412, 412),
    "If-Match: malformed": ({"If-Match": "garbage, {tag}"}, 412, 412),
    "If-Match: empty": ({"If-Match": ""}, 412, 412),
    "If-Match: obs-text": ({"If-Match": '"\xe9", {tag}'}, 200, 200),
    "If-None-Match: the current tag": ({"If-None-Match": "{tag}"}, 304, 412),
    "If-None-Match: weak": ({"If-None-Match": '"x", W/{tag}'}, 304, 412),
    "If-None-Match: an asterisk": ({"If-None-Match": "*"}, 304, 412),
    "If-None-Match: another tag": ({"If-None-Match": '"x"'}, 200, 200),
    "If-None-Match: empty": ({"If-None-Match": ""}, 200, 200),
    "If-Match comes first": ({"If-Match": '"stale"', "If-None-Match": "{tag}"}, 412, 412),
    "both hold": ({"If-Match": "{tag}", "If-None-Match": '"x"'}, 200, 200),
    "the second fails": ({"If-Match": "{tag}", "If-None-Match": "{tag}"}, 304, 412),
    # A profile has no modification date (sections 13.1.3 and 13.1.4).
    "dates": (
        {
            "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
            "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
        },
        200,
        200,
    ),
}


def send(
    person: SignedUpPerson, method: str, headers: list[tuple[str, str]], content: str = "{}"
) -> httpx.Response:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    encoded.append((b"Authorization", f"Bearer {person.token}".encode()))
    encoded.append((b"Content-Type", b"application/json"))
    body = content if method == "PATCH" else ""
    return person.api.http.request(method, "/api/v1/profile/", headers=encoded, content=body)


@pytest.mark.parametrize("row", HTTP_ROWS)
def test_precondition_over_http(shared_person, row):
    headers, read_status, patch_status = HTTP_ROWS[row]
    before = shared_person.profile()
    tag = before.headers["etag"]
    sent = [(name, value.replace("{tag}", tag)) for name, value in headers.items()]
    get, head, patch = (send(shared_person, method, sent) for method in ("GET", "HEAD", "PATCH"))
    assert (get.status_code, head.status_code, patch.status_code) == (
        read_status,
        read_status,
        patch_status,
    )
    for response in (get, patch):
        if response.status_code == 412:
            assert problem_code(response) == "precondition_failed"
    if get.status_code == 412:
        assert get.headers["vary"] == "Accept-Language, Authorization, Cookie"
        assert get.headers["cache-control"] == "no-store"
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
    assert shared_person.profile().content == before.content


def test_repeated_header_is_one_list(shared_person):
    tag = shared_person.profile().headers["etag"]
    for method in ("GET", "PATCH"):
        repeated = [("If-Match", 'W/"x"'), ("If-Match", tag)]
        assert send(shared_person, method, repeated).status_code == 200
        repeated = [("If-None-Match", '"x"'), ("If-None-Match", tag)]
        assert send(shared_person, method, repeated).status_code in (304, 412)


def test_invalid_request_is_rejected_before_its_preconditions(shared_person):
    """RFC 9110 section 13.2.1."""
    stale = [("If-Match", '"stale"')]
    assert send(shared_person, "PATCH", stale, content='{"name": ""}').status_code == 400
    other = shared_person.with_token("A" * 100)
    for method in ("GET", "PATCH", "DELETE"):
        assert problem_code(send(other, method, stale)) == "invalid_token"


@pytest.mark.parametrize(
    "headers",
    [{"If-Match": '"stale"'}, {"If-Match": "W/{tag}"}, {"If-None-Match": "*"}, {"If-Match": ""},
     {"If-None-Match": "{tag}"}, {"If-Match": "{tag}", "If-None-Match": "{tag}"}],
)  # fmt: skip  # a list to be read at a glance
def test_delete_with_a_failed_precondition_deletes_nothing(shared_person, headers):
    before = shared_person.profile()
    tag = before.headers["etag"]
    sent = [(name, value.replace("{tag}", tag)) for name, value in headers.items()]
    assert problem_code(send(shared_person, "DELETE", sent)) == "precondition_failed"
    assert shared_person.profile().content == before.content


@pytest.mark.parametrize("value", ["{tag}", 'W/"x", {tag}', "*"])
def test_delete_with_a_precondition_that_holds_deletes(api: ApiClient, value):
    person = api.sign_up()
    tag = person.profile().headers["etag"]
    response = send(person, "DELETE", [("If-Match", value.replace("{tag}", tag))])
    assert response.status_code == 204
    assert problem_code(person.profile()) == "invalid_token"


def test_delete_is_conditional_on_the_state_in_postgres(api: ApiClient):
    """The tag that was current before the client's own update is stale at once."""
    person = api.sign_up()
    old = person.profile().headers["etag"]
    assert person.patch({"name": "Grace"}).status_code == 200
    assert send(person, "DELETE", [("If-Match", old)]).status_code == 412
    assert person.profile().json()["name"] == "Grace"


def test_concurrent_update_and_delete_with_one_tag_do_not_both_succeed(api: ApiClient):
    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            person = api.sign_up()
            current = {"If-Match": person.profile().headers["etag"]}
            update = threads.submit(person.patch, {"name": "Grace"}, **current)
            deletion = threads.submit(person.request, "DELETE", "profile/", headers=current)
            statuses = update.result().status_code, deletion.result().status_code
            assert statuses in ((200, 412), (401, 204))
