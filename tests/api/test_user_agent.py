"""What a person sees of where a session is used: browser, system and network."""

import time

import pytest

from api.client_ip import displayed_network
from api.user_agent import describe_user_agent

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{WEBKIT} Chrome/126.0"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
GALAXY = "Mozilla/5.0 (Linux; Android 14; SM-S921B)"


@pytest.mark.parametrize(
    ("header", "families"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (f"{WINDOWS} {CHROME} Safari/537.36", "Chrome on Windows"),
        (f"{WINDOWS} {CHROME} Safari/537.36 Edg/126.0", "Edge on Windows"),
        (f"{WINDOWS} {CHROME} Safari/537.36 OPR/112.0", "Opera on Windows"),
        (f"{MAC} {WEBKIT} Version/17.5 Safari/605.1.15", "Safari on macOS"),
        (f"{IPHONE} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iOS"),
        (f"{IPHONE} {WEBKIT} CriOS/126.0 Mobile/15E148 Safari/604.1", "Chrome on iOS"),
        (f"{GALAXY} {CHROME} Mobile Safari/537.36", "Chrome on Android"),
        (f"{GALAXY} {WEBKIT} SamsungBrowser/25.0 Chrome/121.0", "Samsung Internet on Android"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari", "Chrome on ChromeOS"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)", "App on Android"),
        ("Example/3 (com.example.app; build:1; iOS 17.5.0) Alamofire/5.9.1", "iOS"),
        ("Example/12 CFNetwork/1496.0.7 Darwin/23.5.0", "App"),
        ("okhttp/4.12.0", "App"),
        ("python-httpx/0.28.1", "Python"),
        ("curl/8.5.0", "curl"),
        ("call +34 600 000 000 <script>", ""),
        ("", ""),
    ],
)
def test_browser_and_system_are_named_in_known_words(header, families):
    assert describe_user_agent(header) == families


def test_long_header_costs_no_more_than_a_short_one():
    headers = [f"{n} {'Chrom e/ Safar i ' * 500}" for n in range(2000)]
    started_at = time.process_time()
    assert {describe_user_agent(header) for header in headers} == {""}
    assert time.process_time() - started_at < 0.2  # 10 us each are expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("[2001:db8::1]:443", "2001:db8::/48"),
        ("203.0.113.77:443", "203.0.113.0/24"),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_network_of_an_address_is_its_24_or_48(address, network):
    assert displayed_network(address) == network
