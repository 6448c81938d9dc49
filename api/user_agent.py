"""The browser and the system that a `User-Agent` names (RFC 9110 section 10.1.5), in words of ours.

Not ua-parser: its families may be any text of the header, which would so be stored and shown to the
person, and it takes 33 MB and 0.25 s of CPU at the start of each process.
"""

from functools import lru_cache

_MAX_LENGTH = 300  # of what is looked at; browsers send some 120
# The first that is found counts: browsers name those that they are compatible with, after or
# before themselves.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Opera": "Opera",
    "OPT/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Vivaldi/": "Vivaldi",
    "YaBrowser/": "Yandex Browser",
    "DuckDuckGo/": "DuckDuckGo",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "Chromium/": "Chromium",
    "CriOS/": "Chrome",
    "CFNetwork/": "App",
    "Dalvik/": "App",
    "okhttp/": "App",
    "Dart/": "App",
    "Safari/": "Safari",
    "curl/": "curl",
    "python": "Python",
    "aiohttp/": "Python",
    "node": "Node.js",
    "undici": "Node.js",
    "Go-http-client/": "Go",
    "Java": "Java",
    "PostmanRuntime/": "Postman",
}
_SYSTEMS = {
    "iPhone": "iOS",
    "iPad": "iOS",
    "iOS": "iOS",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "macOS": "macOS",
    "Linux": "Linux",
}


def describe_user_agent(header: str) -> str:
    """Returns the families, such as "Firefox on Linux", or the one that is known; "" if none is."""
    return _describe(header[:_MAX_LENGTH])


@lru_cache(1024)
def _describe(header: str) -> str:
    families = (_BROWSERS, _SYSTEMS)
    names = [next((table[sign] for sign in table if sign in header), "") for table in families]
    return " on ".join(filter(None, names))
