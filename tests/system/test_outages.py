"""Outages: each row of the design's table, with real processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from local.stack import Stack
from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
    wait_until_readable,
)
from tests.support.faults import suspended


@contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    """Stops a service until the end of the block."""
    stack.services[name].stop()
    try:
        yield
    finally:
        stack.services[name].start()


def test_stopped_postgres_makes_writes_503_and_reads_continue(stack: Stack, api: ApiClient):
    """Sign-ups and messages resume when it returns."""
    person, waiting = api.sign_up(), api.sign_up()
    code = person.message("phone")["code"]
    with stopped(stack, "postgres"):
        check_outage_of_postgres(api, person, code)
    assert api.sign_up().confirm("phone").status_code == 200
    assert person.confirm("phone", code).status_code == 200
    assert waiting.message("email")
    wait_until(lambda: api.http.get("/readyz").status_code == 200)


def check_outage_of_postgres(api: ApiClient, person: SignedUpPerson, code: str) -> None:
    for _ in range(20):
        assert person.profile().json() == person.body
    for response in (api.post("/api/v1/signup/", sign_up_payload()), person.confirm("phone", code)):
        assert response.status_code == 503
        assert problem_code(response) == "unavailable"
        assert int(response.headers["retry-after"]) >= 1
    assert api.http.get("/livez").status_code == 200
    # Each write process checks once a second.
    assert wait_until(lambda: api.http.get("/readyz").status_code == 503, timeout=5)
    write_probe = "/readyz?capability=write"
    assert wait_until(lambda: api.http.get(write_probe).status_code == 503, timeout=5)
    assert api.http.get("/readyz?capability=read").status_code == 200


def test_connections_closed_by_postgres_fail_no_sign_up(api: ApiClient, django_db_access):
    from django.db import connection

    for _ in range(5):
        api.sign_up()
        with connection.cursor() as cursor:
            # The connections of the write processes, which sign-ups used last.
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE query LIKE '%INSERT INTO rollcall_person%' AND pid <> pg_backend_pid()"
            )
            assert cursor.rowcount >= 1
        api.sign_up()


def test_stopped_profile_redis_makes_reads_503_and_writes_continue(stack, api: ApiClient):
    known = api.sign_up()
    with stopped(stack, "profiles"):
        person = api.sign_up()
        assert person.confirm("phone").status_code == 200
        for response in (known.profile(), person.profile()):
            assert response.status_code == 503
            assert problem_code(response) == "unavailable"
            assert response.headers["retry-after"] == "1"
    assert wait_until(lambda: known.profile().status_code == 200, timeout=1)
    assert wait_until(lambda: person.profile().status_code == 200, timeout=5)
    assert person.profile().json()["phone_verified"]
    wait_until_readable(stack)


def test_change_during_a_frozen_profile_redis_is_read_after_it(stack, api: ApiClient):
    """Without a worker, whose retries may be minutes apart; the change marks the profile stale."""
    person = api.sign_up()
    wait_until(lambda: person.profile().status_code == 200)
    with suspended(stack.services["worker"]):
        with suspended(stack.services["profiles"]):
            assert person.patch({"name": "Grace"}).status_code == 200
        wait_until_readable(stack)
        wait_until(lambda: person.profile().json().get("name") == "Grace", timeout=5)


def test_empty_profile_redis_is_backfilled(django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    people = [api.sign_up() for _ in range(10)]
    get_client().flushall()
    statuses_seen = set()

    def all_readable() -> bool:
        statuses = [person.profile().status_code for person in people]
        statuses_seen.update(statuses)
        return statuses == [200] * len(people)

    assert wait_until(all_readable, timeout=5)
    assert statuses_seen <= {200, 503}


def test_stopped_queue_only_delays_messages_and_no_backfill(
    stack, django_db_access, api: ApiClient
):
    from tests.support.profile_redis import get_client

    known = api.sign_up()
    known.wait_for_outbox()
    with stopped(stack, "queue"):
        person = api.sign_up()
        assert person.profile().status_code == 200
        get_client().delete(f"p:{known.id.replace('-', '')}")
        assert wait_until(lambda: known.profile().status_code == 200, timeout=10)
        assert person.messages("email") == []
    for channel in ("email", "phone"):
        assert wait_until(partial(person.messages, channel), timeout=60)


def test_profile_redis_that_may_evict_is_not_ready(django_db_access, api: ApiClient):
    from tests.support.profile_redis import get_client

    get_client().config_set("maxmemory-policy", "allkeys-lru")
    try:
        # One response has both: the next may be another process's, and of up to a second ago.
        assert wait_until(
            lambda: (
                (response := api.http.get("/readyz")).status_code == 503
                and response.json()["read"] == "misconfigured"
            ),
            timeout=5,
        )
    finally:
        get_client().config_set("maxmemory-policy", "noeviction")
    assert wait_until(lambda: api.http.get("/readyz").status_code == 200, timeout=5)
