"""What Django's middleware does to every request, for those that the read process answers itself:
`Host` is checked, plain HTTP is redirected, and security and CORS headers are added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from api.cors import response_headers
from api.http_server.response_encoding import encode_headers
from settings import environment

# As Django's middleware sends them (tests/api/reads/test_app.py compares them).
_SECURITY_HEADERS = (
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """`headers`: to end the header block of the response. `is_allowed`: `Host` is one of ours.
    `redirects`: the request must be made with https.
    """

    headers: bytes
    is_allowed: bool
    redirects: bool


def find_policy(headers: Mapping[str, str], *, for_browsers: bool = True) -> Policy:
    """Returns the policy for a request with these headers; without CORS unless `for_browsers`."""
    get = headers.get
    origin = get("origin", "") if for_browsers else ""
    return _make_policy(get("host"), get("x-forwarded-proto", ""), origin)


@lru_cache(1024)  # clients repeat these headers; without it a read costs a seventh more
def _make_policy(host: str | None, forwarded_proto: str, origin: str) -> Policy:
    is_secure = environment.TRUST_X_FORWARDED_PROTO and forwarded_proto == "https"
    headers = [*_SECURITY_HEADERS]
    if is_secure and environment.HSTS_SECONDS:
        value = f"max-age={environment.HSTS_SECONDS}; includeSubDomains; preload"
        headers.append(("strict-transport-security", value))
    headers += response_headers(origin, environment.CORS_ALLOWED_ORIGINS)
    return Policy(
        headers=encode_headers(headers),
        is_allowed=_is_allowed_host(host),
        redirects=environment.SECURE_SSL_REDIRECT and not is_secure,
    )


def _is_allowed_host(host: str | None) -> bool:
    """Returns whether a `Host` matches: the name itself, ".example.com" with all its subdomains, or
    "*", as Django's ALLOWED_HOSTS have it. An HTTP/1.0 request need not have a `Host`, but no
    request may have an empty one (RFC 9110 section 4.2.1).
    """
    if host is None:
        return True
    name = host.lower()
    if name.startswith("["):
        name = name.partition("]")[0] + "]"
    else:
        name = name.partition(":")[0].removesuffix(".")
    return bool(name) and any(
        pattern == "*"
        or name == pattern.lower()
        or (pattern.startswith(".") and (name == pattern[1:] or name.endswith(pattern.lower())))
        for pattern in environment.ALLOWED_HOSTS
    )
