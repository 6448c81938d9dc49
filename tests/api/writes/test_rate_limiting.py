"""Rate limits by network and route."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import httpx
import pytest

from api.client_ip import client_network, client_site, get_client_ip
from local.stack import Stack
from tests.support.client import (
    ApiClient,
    extra_service,
    problem_code,
    sign_up_payload,
    socket_path,
    wait_until,
    wait_until_readable,
    write_process,
)
from tests.support.settings_process import SettingsProcess

CONFIRMATION, SIGN_UP, OTHER = "/api/v1/confirmations/phone/", "/api/v1/signup/", "/api/v1/none/"
_addresses = count(1)


@pytest.fixture(scope="module")
def limited_client(stack: Stack) -> Iterator[httpx.Client]:
    """A client of a service with narrow limits behind one trusted proxy, which the test plays."""
    limits = {"RATE_LIMIT_CONFIRMATION": "10/minute", "RATE_LIMIT_SIGN_UP": "10/minute"}
    with (
        extra_service(
            stack,
            TRUSTED_PROXIES="1",
            RATE_LIMIT_DOCS="1/minute",
            RATE_LIMIT_OTHER="3/2seconds",
            **limits,
        ) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


@pytest.fixture
def new_client(limited_client: httpx.Client) -> Callable[..., httpx.Response]:
    """Sends POST requests from an address that no other test uses."""
    address = f"198.51.100.{next(_addresses)}"

    def post(path: str, body: object = None, forwarded: str = address) -> httpx.Response:
        return limited_client.post(path, json=body, headers={"X-Forwarded-For": forwarded})

    return post


def get_remaining(response: httpx.Response) -> int:
    """Returns how many more requests `RateLimit` allows."""
    match = re.fullmatch(r'"[a-z-]+";r=(\d+);t=\d+', response.headers["ratelimit"])
    assert match
    return int(match[1])


def test_concurrent_requests_are_limited_exactly(new_client):
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: new_client(CONFIRMATION), range(100)))
    # If the machine stalls, Redis may time out: such a request is not counted.
    counted = sorted(each.status_code for each in responses if "ratelimit" in each.headers)
    assert len(counted) > 50
    assert counted == [400] * 10 + [429] * (len(counted) - 10)


def test_limited_responses_have_rate_limit_and_retry_after(
    new_client,
):
    for remaining in range(9, -1, -1):
        response = new_client(CONFIRMATION)
        assert response.headers["ratelimit-policy"] == '"confirmation";q=10;w=60'
        assert response.headers["ratelimit"] == f'"confirmation";r={remaining};t=60'
        assert "retry-after" not in response.headers
    rejected = new_client(CONFIRMATION)
    assert (rejected.status_code, problem_code(rejected)) == (429, "rate_limited")
    retry_after = int(rejected.headers["retry-after"])
    assert 0 < retry_after <= 60
    assert rejected.headers["ratelimit"] == f'"confirmation";r=0;t={retry_after}'


def test_request_after_retry_after_is_allowed(new_client):
    for _ in range(3):
        assert new_client(OTHER).status_code == 404
    rejected = new_client(OTHER)
    assert rejected.status_code == 429
    allowed_from = time.monotonic() + int(rejected.headers["retry-after"])
    too_early: list[float] = []

    def is_allowed() -> bool:
        sent_at = time.monotonic()
        if new_client(OTHER).status_code == 429:
            too_early.append(sent_at)
            return False
        return True

    wait_until(is_allowed)
    assert max(too_early) < allowed_from  # rejected requests are not counted


def test_previous_window_is_weighted_by_its_overlap(django_db_access):
    from api.writes.rate_limiting import Counter, hit, redis_key
    from tests.support.profile_redis import get_client

    counter = Counter("confirmation", "203.0.113.60")
    key, previous_start = redis_key(*counter), time.time() - 75
    get_client().hset(
        key, mapping={"started_at": int(previous_start * 1000), "count": 800_000, "previous": 0}
    )
    result = hit([counter])
    assert result is not None
    # At most 1,000,000 a minute; at first three quarters of 800,000 count, then less and less.
    assert 399_999 <= result.remaining < 900_000


def test_each_address_and_route_has_its_own_limit(new_client):
    while new_client(CONFIRMATION).status_code != 429:
        pass
    assert new_client(CONFIRMATION, forwarded="203.0.113.1").status_code == 400
    assert new_client(SIGN_UP, sign_up_payload()).status_code == 201


def test_forwarded_addresses_before_the_trusted_proxy_are_ignored(new_client):
    forged, client = "203.0.113.{}, 1.1.1.1", "203.0.113.99"
    first = get_remaining(new_client(CONFIRMATION, forwarded=f"{forged.format(1)}, {client}"))
    assert (
        get_remaining(new_client(CONFIRMATION, forwarded=f"{forged.format(2)}, {client}"))
        == first - 1
    )


def test_x_forwarded_for_is_ignored_without_trusted_proxies(api: ApiClient):
    def share_a_limit() -> bool:
        first = get_remaining(api.post(CONFIRMATION, None, **{"X-Forwarded-For": "203.0.113.7"}))
        second = get_remaining(api.post(CONFIRMATION, None, **{"X-Forwarded-For": "203.0.113.8"}))
        return second < first

    # Repeated, because requests of other tests may just have left the window.
    assert wait_until(share_a_limit)


def test_ipv6_network_is_one_client(new_client):
    first = get_remaining(new_client(CONFIRMATION, forwarded="2001:db8:0:1::1"))
    assert (
        get_remaining(new_client(CONFIRMATION, forwarded="[2001:db8:0:1:ffff::2]:4711"))
        == first - 1
    )
    assert get_remaining(new_client(CONFIRMATION, forwarded="2001:db8:0:2::1")) == first


def send_until_rejected(post: Callable[[str], httpx.Response], networks: str) -> httpx.Response:
    """Sends a request from each network (`{}`: its number) until one is rejected; returns that.

    Their number varies: a request is not counted if Redis times out on a busy machine.
    """
    for number in range(1000):
        response = post(networks.format(f"{number:x}"))
        if response.status_code == 429:
            return response
    raise AssertionError


def test_networks_of_one_ipv6_site_have_a_limit_together(new_client):
    counted = 0

    def post(address: str) -> httpx.Response:
        nonlocal counted
        response: httpx.Response = new_client(CONFIRMATION, forwarded=address)
        counted += "ratelimit" in response.headers
        return response

    rejected = send_until_rejected(post, "2001:db8:a:{}::1")
    assert counted == 101
    assert problem_code(rejected) == "rate_limited"
    assert rejected.headers["ratelimit-policy"] == '"confirmation-site";q=100;w=60'
    assert 0 < int(rejected.headers["retry-after"]) <= 60
    assert post("2001:db8:b:1::1").status_code == 400


def test_response_names_the_limit_that_is_reached_first(new_client):
    policies: list[str] = []

    def post(address: str) -> httpx.Response:
        response: httpx.Response = new_client(CONFIRMATION, forwarded=address)
        if response.status_code == 400 and "ratelimit" in response.headers:
            policies.append(response.headers["ratelimit-policy"])
        return response

    send_until_rejected(post, "2001:db8:c:{}::1")
    own, site = '"confirmation";q=10;w=60', '"confirmation-site";q=100;w=60'
    assert policies == [own] * 91 + [site] * 9


def test_requests_that_a_network_limit_rejects_count_against_no_wider_one(new_client):
    for _ in range(100):
        new_client(CONFIRMATION, forwarded="2001:db8:d:1::1")
    statuses = {
        new_client(CONFIRMATION, forwarded=f"2001:db8:d:{n:x}::1").status_code for n in range(2, 92)
    }
    assert statuses == {400}, "ten of the first hundred were counted"


@pytest.fixture(scope="module")
def capped_client(stack: Stack) -> Iterator[httpx.Client]:
    """A client of a service with a limit for all anonymous clients, behind one trusted proxy."""
    env = {
        "RATE_LIMIT_ANONYMOUS": "20/hour", "RATE_LIMIT_OTHER": "5/minute", "TRUSTED_PROXIES": "1",
    }  # fmt: skip  # as short as its meaning
    with (
        extra_service(stack, **env) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


@pytest.fixture
def from_address(
    capped_client: httpx.Client, django_db_access
) -> Iterator[Callable[..., httpx.Response]]:
    """Sends requests from any address, while no anonymous one has been counted yet."""
    from tests.support.profile_redis import get_client

    def request(address: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"X-Forwarded-For": address} | options.pop("headers", {})
        return capped_client.request(method, path, headers=headers, **options)

    yield request
    get_client().delete("{ratelimit}:anonymous/all/20/3600")


def exhaust(from_address: Callable[..., httpx.Response], site: str) -> None:
    """Uses up the limit of all anonymous clients, from a new IPv6 site for each request."""
    rejected = send_until_rejected(
        lambda address: from_address(address, "POST", CONFIRMATION), f"2001:db8:{site}{{}}::1"
    )
    assert (problem_code(rejected), rejected.headers["ratelimit"][:15]) == (
        "rate_limited",
        '"anonymous";r=0',
    )
    assert int(rejected.headers["retry-after"]) > 3500


def assert_limited(send: Callable[[], httpx.Response]) -> str:
    """Returns the policy of the limit that rejects a request, once Redis has responded in time."""
    rejected = wait_until(lambda: response if (response := send()).status_code == 429 else None)
    assert rejected
    policy: str = rejected.headers["ratelimit-policy"]
    return policy


def test_anonymous_clients_have_a_limit_together(from_address, api: ApiClient):
    person = api.sign_up()
    exhaust(from_address, "1")
    for path, body in (
        (CONFIRMATION, {"code": "123456"}),
        (OTHER, None),
        (SIGN_UP, sign_up_payload()),
        ("/api/v1/sessions/", {"email": person.body["email"]}),
        ("/api/v1/sessions/confirm/", {}),
        ("/api/v1/confirmations/email/", {"token": "x"}),
    ):
        post = partial(from_address, "203.0.113.1", "POST", path, json=body)
        assert assert_limited(post) == '"anonymous";q=20;w=3600', path


def test_signed_in_client_is_not_limited_with_the_anonymous(from_address, api: ApiClient):
    person = api.sign_up()
    exhaust(from_address, "2")
    address, bearer = "203.0.113.2", {"headers": person.bearer}
    for method, path in (
        ("GET", "/api/v1/confirmations/"),
        ("PATCH", "/api/v1/profile/"),
        ("POST", "/api/v1/confirmations/email/resend/"),
    ):
        response = from_address(address, method, path, **bearer)
        assert response.status_code != 429, path
        assert "anonymous" not in response.headers["ratelimit-policy"]


def test_token_does_not_exempt_sign_ups_and_sign_ins(from_address, api: ApiClient):
    bearer = {"headers": api.sign_up().bearer}
    exhaust(from_address, "3")
    for path in (SIGN_UP, "/api/v1/sessions/"):
        assert_limited(partial(from_address, "203.0.113.3", "POST", path, **bearer))


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer x", "Basic eDp5", "Bearer {forged}"])
def test_invalid_token_does_not_exempt_a_client(from_address, api: ApiClient, authorization):
    token = api.sign_up().token
    value = authorization.format(forged=token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
    exhaust(from_address, "4")
    headers = {"Authorization": value}
    assert_limited(partial(from_address, "203.0.113.4", "POST", CONFIRMATION, headers=headers))


def test_one_network_cannot_use_up_the_limit_of_all_anonymous_clients(from_address):
    for _ in range(40):
        from_address("203.0.113.5", "GET", OTHER)
    assert "other" in assert_limited(partial(from_address, "203.0.113.5", "GET", OTHER))
    others = [from_address(f"198.51.100.{number}", "GET", OTHER) for number in range(15)]
    assert {response.status_code for response in others} == {404}


def test_receipts_and_staff_pass_while_anonymous_clients_have_used_up_their_limit(from_address):
    exhaust(from_address, "6")
    for path in ("/webhooks/sendgrid/", "/webhooks/vonage/", "/admin/login/"):
        assert from_address("203.0.113.6", "POST", path).status_code in {401, 403}


def test_unknown_routes_are_limited(new_client, limited_client):
    assert new_client("/webhooks/none/").headers["ratelimit-policy"] == '"webhook";q=1000000;w=60'
    response = limited_client.post("/admin/login/", headers={"X-Forwarded-For": "203.0.113.3"})
    assert response.headers["ratelimit-policy"] == '"admin-login";q=1000000;w=60'
    statuses = [limited_client.get("/api/v1/schema/").status_code for _ in range(2)]
    assert statuses == [200, 429]


def test_reads_probes_and_pages_are_not_limited(api: ApiClient):
    responses = [api.http.get(path) for path in ("/livez", "/readyz", "/confirm/email/", "/no")]
    responses.append(api.sign_up().profile())
    assert [response for response in responses if "ratelimit" in response.headers] == []


def test_requests_are_allowed_while_redis_is_unavailable(stack: Stack, new_client):
    while new_client(CONFIRMATION).status_code != 429:
        pass
    stack.services["profiles"].stop()
    try:
        response = new_client(CONFIRMATION)
        assert (response.status_code, problem_code(response)) == (400, "validation_failed")
        assert "ratelimit" not in response.headers
    finally:
        stack.services["profiles"].start()
        wait_until_readable(stack)
    assert wait_until(lambda: new_client(CONFIRMATION).status_code == 429)


def test_redis_key_names_network_and_limit_and_expires(django_db_access, new_client):
    from tests.support.profile_redis import get_client

    for _ in range(4):
        new_client(OTHER, forwarded="203.0.113.50")
    keys = [key for key in get_client().scan_iter("{ratelimit}:*") if b"203.0.113.50" in key]
    assert keys == [b"{ratelimit}:other/203.0.113.50/3/2"]
    assert 0 < get_client().ttl(keys[0]) <= 4


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted_proxies", "client"),
    [
        ("10.0.0.1", "203.0.113.1", 0, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1", 1, "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 203.0.113.2,203.0.113.3", 2, "203.0.113.2"),
        ("10.0.0.1", "203.0.113.1", 2, "10.0.0.1"),  # it did not pass both proxies
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "unknown", 1, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1:80", 1, "203.0.113.1"),
        ("10.0.0.1", "2001:db8::1", 1, "2001:db8::1"),
        ("10.0.0.1", "::ffff:203.0.113.1", 1, "203.0.113.1"),
        # The peer of a unix socket is one more trusted proxy.
        ("", "203.0.113.1, 203.0.113.2", 0, "203.0.113.2"),
        ("", "203.0.113.1, 203.0.113.2", 1, "203.0.113.1"),
        ("", "203.0.113.1", 1, "203.0.113.1"),
        ("", "", 0, ""),
    ],
)
def test_client_ip_is_the_one_seen_by_the_outermost_trusted_proxy(
    peer, forwarded, trusted_proxies, client
):
    assert get_client_ip(peer, forwarded, trusted_proxies) == client


def test_client_ip_behind_a_unix_socket_is_the_last_forwarded_one(stack: Stack):
    with write_process(stack, RATE_LIMIT_CONFIRMATION="10/minute") as (_, url):
        transport = httpx.HTTPTransport(uds=socket_path(url))
        with httpx.Client(transport=transport, base_url=url, timeout=20) as client:

            def remaining(forwarded: str) -> int:
                return get_remaining(
                    client.post(CONFIRMATION, headers={"X-Forwarded-For": forwarded})
                )

            before = remaining("198.51.100.250")
            assert remaining("192.0.2.1, 198.51.100.250") == before - 1
            assert remaining("198.51.100.250, 198.51.100.251") == before


def test_clients_without_an_address_are_counted_together():
    assert client_network("") == client_network("/run/write.sock") == "unknown"
    assert client_site("") is None


@pytest.mark.parametrize(
    ("address", "network", "site"),
    [
        ("203.0.113.1", "203.0.113.1", None),
        ("::ffff:203.0.113.1", "203.0.113.1", None),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64", "2001:0db8:0001::/48"),
        ("[2001:db8:1:ffff::]:443", "2001:0db8:0001:ffff::/64", "2001:0db8:0001::/48"),
    ],
)
def test_client_is_counted_by_its_network_and_ipv6_site(address, network, site):
    assert (client_network(address), client_site(address)) == (network, site)


def test_limits_depend_on_the_environment_and_can_be_set(load_settings: SettingsProcess):
    code = "from django.conf import settings as s; print(*s.RATE_LIMITS.values(), sep=', ')"
    in_production = load_settings(code, RATE_LIMIT_SIGN_IN="7/2hours").stdout
    assert in_production.startswith("10 per 1 minute, 7 per 2 hour, 30 per 1 minute, ")
    env = {"DJANGO_SETTINGS_MODULE": "settings.dev", "RATE_LIMIT_SIGN_IN": "7/2hours"}
    assert load_settings(code, **env).stdout.startswith(
        "1000000 per 1 minute, 7 per 2 hour, 1000000 per"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_SIGN_UP", "often"),
        ("RATE_LIMIT_DOCS", "1/minute;2/hour"),
        ("RATE_LIMIT_ANONYMOUS", "1"),
        ("RATE_LIMIT_SITE_FACTOR", "0"),
        ("RATE_LIMIT_SITE_FACTOR", "ten"),
        ("TRUSTED_PROXIES", "-1"),
    ],
)
def test_malformed_limit_is_reported_by_name(load_settings: SettingsProcess, name, value):
    result = load_settings(**{name: value})
    assert result.returncode != 0
    assert name in result.stderr.splitlines()[-1]
