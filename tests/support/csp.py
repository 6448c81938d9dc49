"""Finds what a page's Content-Security-Policy would block, without a browser."""

import base64
import hashlib
import html
import re

import httpx

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""\s(style|on[a-z]+)="([^"]*)\"""")


def find_blocked(page: httpx.Response) -> list[str]:
    """Returns the inline scripts, styles and attributes that the policy of the page blocks.

    Fails if the policy is missing, or allows all inline code or other hosts.
    """
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; "), policy
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    directives = dict(each.split(" ", 1) for each in policy.split("; "))
    blocked = [
        content
        for tag, content in _INLINE.findall(page.text)
        if f"'sha256-{_hash(content)}'" not in directives[f"{tag}-src"]
    ]
    for name, content in _ATTRIBUTE.findall(page.text):
        allowed = directives["style-src" if name == "style" else "script-src"]
        is_hash = f"'sha256-{_hash(html.unescape(content))}'" in allowed
        if "'unsafe-hashes'" not in allowed or not is_hash:
            blocked.append(content)
    return blocked


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
