"""Pre-hijacking: a person who signs up with another's e-mail address keeps no way into the account
after its owner has confirmed the address and signed in. See docs/security.md.
"""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.client import (
    ApiClient,
    SignedUpPerson,
    problem_code,
    sign_up_payload,
    wait_until,
)


def open_link(api: ApiClient, address: str) -> None:
    """Confirms an address, as its owner does who opens the link."""
    link = wait_until(lambda: [m["link"] for m in api.mailbox(address) if m["link"]])[0]
    token = {"token": link.partition("#")[2]}
    assert api.post("/api/v1/confirmations/email/", token).status_code == 200


def plant(api: ApiClient) -> SignedUpPerson:
    """Returns an account that an attacker signed up with the victim's e-mail address and an own
    phone number, which is confirmed; then the victim opened the link.
    """
    planted = api.sign_up()
    assert planted.confirm("phone").status_code == 200
    open_link(api, planted.body["email"])
    return planted


def change_phone(session: SignedUpPerson) -> SignedUpPerson:
    """Replaces the phone number and confirms the new one, in a session."""
    phone = sign_up_payload()["phone"]
    assert session.patch({"phone": phone}).status_code == 200
    changed = session.with_token(session.token)
    changed.body = session.body | {"phone": phone}
    assert changed.confirm("phone").status_code == 200
    return changed


def assert_is_the_victims(victim: SignedUpPerson, *attackers: SignedUpPerson) -> None:
    """Asserts that only the victim's session is left, and the victim's address verified."""
    assert [problem_code(each.profile()) for each in attackers] == ["invalid_token"] * len(
        attackers
    )
    profile = victim.profile().json()
    assert (profile["email_verified"], profile["phone_verified"]) == (True, False)
    assert len(victim.request("GET", "sessions/").json()["sessions"]) == 1


def test_session_of_a_sign_in_by_the_attackers_phone_is_revoked(api: ApiClient):
    """It began after the address was confirmed."""
    planted = plant(api)
    attacker = planted.sign_in("phone")
    assert_is_the_victims(planted.sign_in("email"), planted, attacker)


def test_phone_number_that_such_a_session_has_replaced_is_reset(api: ApiClient):
    planted = plant(api)
    attacker = change_phone(planted.sign_in("phone"))
    assert_is_the_victims(planted.sign_in("email"), planted, attacker)
    before = len(attacker.messages("phone"))
    api.request_challenge(phone=attacker.body["phone"])
    api.sign_up().message("phone")
    assert len(attacker.messages("phone")) == before


def test_session_of_a_sign_in_by_a_replaced_phone_number_is_revoked(api: ApiClient):
    planted = plant(api)
    replaced = change_phone(planted.sign_in("phone"))
    attacker = replaced.sign_in("phone")
    assert_is_the_victims(planted.sign_in("email"), planted, replaced, attacker)


def test_attackers_own_address_that_was_replaced_by_the_victims_is_of_no_use(api: ApiClient):
    attacker = api.sign_up()
    for channel in ("email", "phone"):
        assert attacker.confirm(channel).status_code == 200
    attacker = attacker.sign_in("email").sign_in("phone")
    email = sign_up_payload()["email"]
    assert attacker.patch({"email": email}).status_code == 200
    open_link(api, email)
    other = attacker.sign_in("phone")
    victim = attacker.with_token(attacker.token)
    victim.body = attacker.body | {"email": email}
    assert_is_the_victims(victim.sign_in("email"), attacker, other)


@pytest.mark.usefixtures("django_db_access")
def test_concurrent_first_sign_ins_leave_the_victims_session(api: ApiClient):
    planted = plant(api)
    codes = {channel: planted.request_code(channel) for channel in ("email", "phone")}

    def sign_in(channel: str) -> httpx.Response:
        with httpx.Client(base_url=api.http.base_url, timeout=20) as http:
            return ApiClient(http).sign_in(*codes[channel])

    with ThreadPoolExecutor() as threads:
        responses = dict(zip(codes, threads.map(sign_in, codes), strict=True))
    assert responses["email"].status_code == 201
    assert responses["phone"].status_code in (201, 400)
    tokens = {
        channel: planted.with_token(response.json()["session"]["token"])
        for channel, response in responses.items()
        if response.status_code == 201
    }
    attackers = [session for channel, session in tokens.items() if channel == "phone"]
    assert_is_the_victims(tokens["email"], planted, *attackers)


@pytest.mark.usefixtures("django_db_access")
def test_attackers_networks_are_forgotten(api: ApiClient):
    """Sign-in requests from there would be sent beyond the quota of the address."""
    from django.db.models.functions import Now

    from domain.postgres.models import KnownNetwork

    planted = plant(api)
    KnownNetwork.objects.create(
        person_id=planted.id, network_hash=b"of the attacker", last_used_at=Now()
    )
    planted.sign_in("email")
    networks = KnownNetwork.objects.filter(person_id=planted.id)
    assert networks.count() == 1
    assert not networks.filter(network_hash=b"of the attacker").exists()


def test_owner_who_has_entered_both_codes_keeps_both_addresses(api: ApiClient):
    person = api.sign_up()
    for channel in ("email", "phone"):
        assert person.confirm(channel).status_code == 200
    for channel in ("email", "phone", "email"):
        profile = person.sign_in(channel).profile().json()
        assert (profile["email_verified"], profile["phone_verified"]) == (True, True)
