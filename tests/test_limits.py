"""Request rates: counted once and for all, by network and kind of route, and never in the way."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest

from api.client_ip import client_network, get_client_ip
from local.stack import Stack
from tests.someone import (
    Rollcall,
    code_of,
    eventually,
    new_body,
    reading_again,
    service_beside,
    socket_of,
    write_process,
)
from tests.starting import Starter

CONFIRMATION, SIGN_UP, OTHER = "/api/v1/confirmations/phone/", "/api/v1/signup/", "/api/v1/none/"
_strangers = count(1)


@pytest.fixture(scope="module")
def tight(stack: Stack) -> Iterator[httpx.Client]:
    """A web server with narrow limits behind one trusted proxy, which we play."""
    limits = {"LIMIT_CONFIRMATION": "10/minute", "LIMIT_SIGN_UP": "10/minute"}
    with (
        service_beside(
            stack, TRUSTED_PROXIES="1", LIMIT_DOCS="1/minute", LIMIT_OTHER="3/2seconds", **limits
        ) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        yield client


@pytest.fixture
def stranger(tight: httpx.Client) -> Callable[..., httpx.Response]:
    """POST as somebody whom no other test knows."""
    address = f"198.51.100.{next(_strangers)}"

    def post(path: str, body: object = None, forwarded: str = address) -> httpx.Response:
        return tight.post(path, json=body, headers={"X-Forwarded-For": forwarded})

    return post


def left(answer: httpx.Response) -> int:
    """How many more requests `RateLimit` allows."""
    told = re.fullmatch(r'"[a-z-]+";r=(\d+);t=\d+', answer.headers["ratelimit"])
    assert told
    return int(told[1])


def test_concurrent_requests_are_limited_exactly(stranger):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: stranger(CONFIRMATION), range(100)))
    # On a machine that stalls, Redis may not answer in time: such a request passes uncounted.
    counted = sorted(each.status_code for each in answers if "ratelimit" in each.headers)
    assert len(counted) > 50
    assert counted == [400] * 10 + [429] * (len(counted) - 10)


def test_limited_responses_have_rate_limit_and_retry_after(
    stranger,
):
    for remaining in range(9, -1, -1):
        answer = stranger(CONFIRMATION)
        assert answer.headers["ratelimit-policy"] == '"confirmation";q=10;w=60'
        assert answer.headers["ratelimit"] == f'"confirmation";r={remaining};t=60'
        assert "retry-after" not in answer.headers
    refused = stranger(CONFIRMATION)
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    wait = int(refused.headers["retry-after"])
    assert 0 < wait <= 60
    assert refused.headers["ratelimit"] == f'"confirmation";r=0;t={wait}'


def test_request_after_retry_after_is_allowed(stranger):
    for _ in range(3):
        assert stranger(OTHER).status_code == 404
    refused = stranger(OTHER)
    assert refused.status_code == 429
    allowed_at = time.monotonic() + int(refused.headers["retry-after"])
    too_early: list[float] = []

    def passes() -> bool:
        sent_at = time.monotonic()
        if stranger(OTHER).status_code == 429:
            too_early.append(sent_at)
            return False
        return True

    eventually(passes)
    assert max(too_early) < allowed_at  # and a refused request counts for nothing


def test_previous_window_is_weighted_by_its_overlap(django_here):
    from api.limits import hit, redis_key
    from domain.stores.profiles import redis

    key, a_quarter_ago = redis_key("confirmation", "203.0.113.60"), time.time() - 75
    redis().hset(key, mapping={"begin": int(a_quarter_ago * 1000), "count": 800_000, "before": 0})
    result = hit("confirmation", "203.0.113.60")
    assert verdict is not None
    # At most 1,000,000 a minute, and at first three quarters of 800,000 count; a few seconds later
    # it is less.
    assert 399_999 <= result.remaining < 900_000


def test_each_address_and_route_has_its_own_limit(stranger):
    while stranger(CONFIRMATION).status_code != 429:
        pass
    assert stranger(CONFIRMATION, forwarded="203.0.113.1").status_code == 400
    assert stranger(SIGN_UP, new_body()).status_code == 201


def test_forwarded_addresses_before_the_trusted_proxy_are_ignored(stranger):
    whoever, client = "203.0.113.{}, 1.1.1.1", "203.0.113.99"
    first = left(stranger(CONFIRMATION, forwarded=f"{whoever.format(1)}, {client}"))
    assert left(stranger(CONFIRMATION, forwarded=f"{whoever.format(2)}, {client}")) == first - 1


def test_x_forwarded_for_is_ignored_without_trusted_proxies(rollcall: Rollcall):
    def is_counted_as_one() -> bool:
        first = left(rollcall.post(CONFIRMATION, None, **{"X-Forwarded-For": "203.0.113.7"}))
        second = left(rollcall.post(CONFIRMATION, None, **{"X-Forwarded-For": "203.0.113.8"}))
        return second < first

    # More than once, because what others have asked before may just have left the window.
    assert eventually(is_counted_as_one)


def test_ipv6_network_is_one_client(stranger):
    first = left(stranger(CONFIRMATION, forwarded="2001:db8:0:1::1"))
    assert left(stranger(CONFIRMATION, forwarded="[2001:db8:0:1:ffff::2]:4711")) == first - 1
    assert left(stranger(CONFIRMATION, forwarded="2001:db8:0:2::1")) == first


def test_unknown_routes_are_limited(stranger, tight):
    assert stranger("/webhooks/none/").headers["ratelimit-policy"] == '"webhook";q=1000000;w=60'
    answer = tight.post("/admin/login/", headers={"X-Forwarded-For": "203.0.113.3"})
    assert answer.headers["ratelimit-policy"] == '"admin-login";q=1000000;w=60'
    statuses = [tight.get("/api/v1/schema/").status_code for _ in range(2)]
    assert statuses == [200, 429]


def test_reads_probes_and_pages_are_not_limited(rollcall: Rollcall):
    answers = [rollcall.http.get(path) for path in ("/livez", "/readyz", "/confirm/email/", "/no")]
    answers.append(rollcall.sign_up().profile())
    assert [answer for answer in answers if "ratelimit" in answer.headers] == []


def test_requests_are_allowed_while_redis_is_unavailable(stack: Stack, stranger):
    while stranger(CONFIRMATION).status_code != 429:
        pass
    stack.services["profiles"].stop()
    try:
        answer = stranger(CONFIRMATION)
        assert (answer.status_code, code_of(answer)) == (400, "validation_failed")
        assert "ratelimit" not in answer.headers
    finally:
        stack.services["profiles"].start()
        reading_again(stack)
    assert eventually(lambda: stranger(CONFIRMATION).status_code == 429)


def test_redis_key_names_network_and_limit_and_expires(
    django_here, stranger
):
    from domain.stores.profiles import redis

    for _ in range(4):
        stranger(OTHER, forwarded="203.0.113.50")
    keys = [key for key in redis().scan_iter("limit:*") if b"203.0.113.50" in key]
    assert keys == [b"limit:other/203.0.113.50/3/2"]
    assert 0 < redis().ttl(keys[0]) <= 4


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted_proxies", "client"),
    [
        ("10.0.0.1", "203.0.113.1", 0, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1", 1, "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 203.0.113.2,203.0.113.3", 2, "203.0.113.2"),
        ("10.0.0.1", "203.0.113.1", 2, "10.0.0.1"),  # it did not pass through both
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "unknown", 1, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1:80", 1, "203.0.113.1"),
        ("10.0.0.1", "2001:db8::1", 1, "2001:db8::1"),
        ("10.0.0.1", "::ffff:203.0.113.1", 1, "203.0.113.1"),
        # The other end of a unix socket is one trusted proxy more.
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
    with write_process(stack, LIMIT_CONFIRMATION="10/minute") as (_, url):
        transport = httpx.HTTPTransport(uds=socket_of(url))
        with httpx.Client(transport=transport, base_url=url, timeout=20) as client:

            def remaining(forwarded: str) -> int:
                return left(client.post(CONFIRMATION, headers={"X-Forwarded-For": forwarded}))

            before = remaining("198.51.100.250")
            assert remaining("192.0.2.1, 198.51.100.250") == before - 1
            assert remaining("198.51.100.250, 198.51.100.251") == before


def test_clients_without_an_address_are_counted_together():
    assert client_network("") == client_network("/run/write.sock") == "unknown"


def test_limits_depend_on_the_environment_and_can_be_set(start: Starter):
    code = "from django.conf import settings as s; print(*s.RATE_LIMITS.values(), sep=', ')"
    in_production = start(code, LIMIT_SIGN_IN="7/2hours").stdout
    assert in_production.startswith("10 per 1 minute, 7 per 2 hour, 30 per 1 minute, ")
    env = {"DJANGO_SETTINGS_MODULE": "settings.dev", "LIMIT_SIGN_IN": "7/2hours"}
    assert start(code, **env).stdout.startswith("1000000 per 1 minute, 7 per 2 hour, 1000000 per")


@pytest.mark.parametrize(
    ("name", "value"),
    [("LIMIT_SIGN_UP", "often"), ("LIMIT_DOCS", "1/minute;2/hour"), ("TRUSTED_PROXIES", "-1")],
)
def test_malformed_limit_is_reported_by_name(start: Starter, name, value):
    result = start(**{name: value})
    assert result.returncode != 0
    assert name in result.stderr.splitlines()[-1]
