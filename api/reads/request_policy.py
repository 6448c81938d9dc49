"""What Django's middleware does to every request, for those that the read process answers itself:
`Host` is checked, plain HTTP is redirected, and security and CORS headers are added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from api.cors import response_headers
from api.http_server.headers import encode_headers

# As SecurityMiddleware and XFrameOptionsMiddleware send them (tests/api/reads/test_app.py compares
# them).
_SECURITY_HEADERS = (
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
)


@dataclass(frozen=True)
class PolicySettings:
    """`trust_forwarded_proto`: a proxy in front sets `X-Forwarded-Proto`. `hsts_seconds`: 0 for no
    `Strict-Transport-Security`.
    """

    allowed_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...] = ()
    trust_forwarded_proto: bool = False
    ssl_redirect: bool = False
    hsts_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """`headers`: to end the header block of the response. `is_allowed`: `Host` is one of ours.
    `redirects`: the request must be made with https.
    """

    headers: bytes
    is_allowed: bool
    redirects: bool


class RequestPolicy:
    """Finds the policy of a request. Results are cached: clients repeat these headers."""

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings
        self._find = lru_cache(1024)(self._make)

    def find(self, headers: Mapping[str, str]) -> Policy:
        """Returns the policy for a request with these headers."""
        get = headers.get
        return self._find(get("host", ""), get("x-forwarded-proto", ""), get("origin", ""))

    def _make(self, host: str, forwarded_proto: str, origin: str) -> Policy:
        settings = self._settings
        is_secure = settings.trust_forwarded_proto and forwarded_proto == "https"
        headers = [*_SECURITY_HEADERS]
        if is_secure and settings.hsts_seconds:
            value = f"max-age={settings.hsts_seconds}; includeSubDomains; preload"
            headers.append(("strict-transport-security", value))
        headers += response_headers(origin, settings.cors_origins)
        return Policy(
            headers=encode_headers(headers),
            is_allowed=is_allowed_host(host, settings.allowed_hosts),
            redirects=settings.ssl_redirect and not is_secure,
        )


def is_allowed_host(host: str, allowed: tuple[str, ...]) -> bool:
    """Returns whether a `Host` matches: the name itself, ".example.com" with all its subdomains, or
    "*", as Django's ALLOWED_HOSTS have it. An HTTP/1.0 request need not have a `Host`.
    """
    name = host.lower()
    if name.startswith("["):
        name = name.partition("]")[0] + "]"
    else:
        name = name.partition(":")[0].removesuffix(".")
    return not host or any(
        pattern == "*"
        or name == pattern.lower()
        or (pattern.startswith(".") and (name == pattern[1:] or name.endswith(pattern.lower())))
        for pattern in allowed
    )
