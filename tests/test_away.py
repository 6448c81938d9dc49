"""When something is away: each row of the design's table that exists, with real processes."""

from functools import partial

import httpx
import pytest

from tests.someone import Rollcall, code_of, eventually, new_body, reading_again


@pytest.fixture
def without(stack):
    """Stop a part for the test; it is back afterwards, and the service ready again."""
    gone = []

    def stop(name: str) -> None:
        stack.services[name].stop()
        gone.append(name)

    yield stop
    for name in gone:
        stack.services[name].start()
    eventually(lambda: httpx.get(f"{stack.url}/readyz").status_code == 200)


def test_stopped_postgres_makes_writes_503_and_reads_continue(
    without, rollcall: Rollcall
):
    someone = rollcall.sign_up()
    code = someone.message("phone")["code"]
    without("postgres")
    for _ in range(20):
        assert someone.profile().json() == someone.body
    for answer in (rollcall.post("/api/v1/signup/", new_body()), someone.confirm("phone", code)):
        assert answer.status_code == 503
        assert code_of(answer) == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    assert rollcall.http.get("/livez").status_code == 200
    # Each write process checks once a second.
    for path in ("/readyz", "/readyz?capability=write"):
        assert eventually(lambda path=path: rollcall.http.get(path).status_code == 503, within=5)
    assert rollcall.http.get("/readyz?capability=read").status_code == 200


def test_sign_ups_and_messages_resume_when_postgres_returns(stack, rollcall: Rollcall):
    waiting = rollcall.sign_up()
    stack.services["postgres"].stop()
    assert rollcall.post("/api/v1/signup/", new_body()).status_code == 503
    stack.services["postgres"].start()
    someone = rollcall.sign_up()
    assert someone.confirm("phone").status_code == 200
    assert waiting.message("email")


def test_connections_closed_by_postgres_fail_no_sign_up(rollcall: Rollcall, django_here):
    from django.db import connection

    for _ in range(5):
        rollcall.sign_up()
        with connection.cursor() as cursor:
            # Those of the web processes: sign-ups were the last that went over them.
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE query LIKE '%INSERT INTO stores_person%' AND pid <> pg_backend_pid()"
            )
            assert cursor.rowcount >= 1
        rollcall.sign_up()


def test_stopped_profile_redis_makes_reads_503_and_writes_continue(stack, rollcall: Rollcall):
    known = rollcall.sign_up()
    stack.services["profiles"].stop()
    try:
        someone = rollcall.sign_up()
        assert someone.confirm("phone").status_code == 200
        for answer in (known.profile(), someone.profile()):
            assert answer.status_code == 503
            assert code_of(answer) == "unavailable"
            assert answer.headers["retry-after"] == "1"
    finally:
        stack.services["profiles"].start()
    assert eventually(lambda: known.profile().status_code == 200, within=1)
    assert eventually(lambda: someone.profile().status_code == 200, within=5)
    assert someone.profile().json()["phone_verified"]
    reading_again(stack)


def test_empty_profile_redis_is_backfilled(django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    people = [rollcall.sign_up() for _ in range(10)]
    redis().flushall()
    seen = set()

    def all_back() -> bool:
        statuses = [someone.profile().status_code for someone in people]
        seen.update(statuses)
        return statuses == [200] * len(people)

    assert eventually(all_back, within=5)
    assert seen <= {200, 503}


def test_stopped_queue_only_delays_messages(stack, rollcall: Rollcall):
    stack.services["queue"].stop()
    try:
        someone = rollcall.sign_up()
        assert someone.profile().status_code == 200
        assert someone.messages("email") == []
    finally:
        stack.services["queue"].start()
    for channel in ("email", "phone"):
        assert eventually(partial(someone.messages, channel), within=60)


def test_missing_profile_is_backfilled_while_the_queue_is_stopped(
    without, django_here, rollcall: Rollcall
):
    from domain.stores.profiles import redis

    someone = rollcall.sign_up()
    someone.settled()
    without("queue")
    redis().delete(f"p:{someone.answer.json()['id'].replace('-', '')}")
    assert eventually(lambda: someone.profile().status_code == 200, within=10)


def test_profile_redis_that_may_evict_is_not_ready(django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    redis().config_set("maxmemory-policy", "allkeys-lru")
    try:
        # One response has both: the next may be another process's, and of up to a second ago.
        assert eventually(
            lambda: (
                (answer := rollcall.http.get("/readyz")).status_code == 503
                and answer.json()["read"] == "misconfigured"
            ),
            within=5,
        )
    finally:
        redis().config_set("maxmemory-policy", "noeviction")
    assert eventually(lambda: rollcall.http.get("/readyz").status_code == 200, within=5)
