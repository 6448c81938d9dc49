"""The outbox, the relay and the workers: nothing is lost, whatever is killed when."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from tests.someone import Rollcall, Someone, eventually


def rows_of(someone: Someone):
    from domain.stores.models import Outbox

    return Outbox.objects.filter(person_id=someone.answer.json()["id"])


def ends_of(someone: Someone) -> set[tuple[str, str, str]]:
    return set(rows_of(someone).values_list("kind", "state", "reason"))


DONE = {("profile", "done", ""), ("confirmation", "done", "")}


def test_every_outbox_entry_is_done_after_a_sign_up(django_here, rollcall: Rollcall):
    someone = rollcall.sign_up()
    assert eventually(lambda: ends_of(someone) == DONE)


def test_killed_worker_loses_no_message(
    stack, django_here, rollcall: Rollcall, many: int
):
    with ThreadPoolExecutor(8) as clients:
        signing_up = [clients.submit(rollcall.sign_up) for _ in range(20 * many)]
        for _ in range(3):
            eventually(lambda: any(s.done() for s in signing_up))
            stack.services["worker"].kill()
            stack.services["worker"].start()
        people = [s.result() for s in signing_up]
    stack.services["worker"].kill()
    stack.services["worker"].start()
    for someone, channel in itertools.product(people, ("email", "phone")):
        codes = {m["code"] for m in eventually(lambda: someone.messages(channel), within=60)}  # noqa: B023  # asked at once
        assert len(codes) == 1, "a message that comes twice has the same code"
    eventually(lambda: all(ends_of(someone) == DONE for someone in people), within=60)


def test_flushed_queue_loses_no_message(stack, django_here, rollcall: Rollcall):
    from huey.contrib.djhuey import HUEY

    stack.services["worker"].stop()
    try:
        people = [rollcall.sign_up() for _ in range(5)]
        HUEY.storage.flush_queue()
    finally:
        stack.services["worker"].start()
    eventually(lambda: all(ends_of(someone) == DONE for someone in people), within=60)


def test_killed_relay_loses_nothing_after_its_restart(
    stack, django_here, rollcall: Rollcall
):
    from huey.contrib.djhuey import HUEY

    stack.services["worker"].stop()
    stack.services["relay"].kill()
    someone = rollcall.sign_up()
    HUEY.storage.flush_queue()
    stack.services["worker"].start()
    stack.services["relay"].start()
    assert eventually(lambda: ends_of(someone) == DONE, within=60)


def test_owner_gets_a_notice_without_a_code(django_here, rollcall: Rollcall):
    owner = rollcall.sign_up()
    assert owner.confirm("phone").status_code == 200
    stranger = rollcall.sign_up(phone=owner.body["phone"])
    eventually(lambda: ("confirmation", "done", "owned") in ends_of(stranger))
    told = owner.messages("phone")
    assert len(told) == 2
    assert told[0]["code"] is None
    assert "somebody signed up" in told[0]["text"]
    assert str(stranger.call("GET", "confirmations/").json()["phone"]["status"]) == "sent"


def test_older_write_never_overwrites_a_newer_profile(django_here, rollcall: Rollcall):
    from dataclasses import replace

    from domain.person import Person
    from domain.stores import people, profiles

    someone = rollcall.sign_up()
    person = people.load(UUID(someone.answer.json()["id"]))
    assert isinstance(person, Person)
    newer = replace(person, version=person.version + 7, name="Grace")
    assert profiles.publish(newer)
    assert not profiles.publish(person)
    assert not profiles.publish(replace(newer, name="Eve"))
    assert someone.profile().json()["name"] == "Grace"


def test_missing_profiles_are_backfilled_without_a_worker(stack, django_here, rollcall: Rollcall):
    from domain.stores.profiles import redis

    people = [rollcall.sign_up() for _ in range(6)]
    for someone in people:
        someone.settled()
    changed, left, *_ = people
    assert changed.patch({"name": "Grace"}).status_code == 200
    assert left.call("DELETE", "profile/").status_code == 204
    stack.services["worker"].stop()
    try:
        redis().flushdb()
        for someone in people:
            eventually(lambda: someone.profile().status_code != 503)  # noqa: B023  # asked at once
        assert [someone.profile().status_code for someone in people] == [
            200,
            401,
            200,
            200,
            200,
            200,
        ]
        assert changed.profile().json()["name"] == "Grace"
    finally:
        stack.services["worker"].start()


def test_session_revoked_during_a_backfill_is_never_readable(
    django_here, rollcall: Rollcall, monkeypatch
):
    from domain.stores import bulk, profiles

    someone = rollcall.sign_up()
    someone.settled()
    write = bulk.run
    seen: list[int] = []

    def late(*words):
        """What was read before the sign-out is written when Redis has forgotten it."""
        if not seen:
            assert someone.call("DELETE", "sessions/current/").status_code == 204
            profiles.redis().flushdb()
        written = write(*words)
        seen.append(someone.profile().status_code)
        return written

    assert someone.patch({"name": "Grace"}).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "run", late)
        profiles.refresh_all([UUID(someone.id)])
    assert 200 not in seen
    assert someone.profile().status_code == 401
