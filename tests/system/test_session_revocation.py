"""Sessions that are revoked by their id while the profile Redis is unavailable."""

import pytest

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    wait_until,
    wait_until_readable,
)


def revoke_path(current: SignedUpPerson) -> str:
    """Returns the path of the session that is not the current one."""
    sessions = current.request("GET", "sessions/").json()["sessions"]
    (session_id,) = [session["id"] for session in sessions if not session["current"]]
    return f"sessions/{session_id}/"


@pytest.mark.parametrize("repeats", [True, False], ids=["repeated", "left to the outbox"])
def test_session_is_revoked_once_redis_is_back(stack: Stack, api: ApiClient, repeats):
    """Repeating the request is a 404 only once no reader accepts the session."""
    old = api.sign_up()
    assert old.confirm("phone").status_code == 200
    current = old.sign_in("phone")
    old = current.with_token(current.token)
    current = old.sign_in("phone")
    path = revoke_path(current)
    assert old.profile().status_code == 200
    stack.services["profiles"].stop()
    try:
        for _ in range(2):
            response = current.request("DELETE", path)
            assert (response.status_code, problem_code(response)) == (503, "unavailable")
        listed = current.request("GET", "sessions/")
        assert [each["current"] for each in listed.json()["sessions"]] == [True]
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    if repeats:
        wait_until(lambda: current.request("DELETE", path).status_code == 404)
        assert problem_code(old.profile()) == "invalid_token"
    else:
        wait_until(lambda: old.profile().status_code == 401)
    assert wait_until(lambda: current.profile().status_code == 200)
