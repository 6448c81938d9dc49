"""Django middleware: `request.person` is the person who sent the request, as Rollcall says; None
for a request without a token.

Settings: ROLLCALL_URL, and ROLLCALL_BACKEND_KEY from `manage.py backends make NAME`.
"""

import time
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import Any

import httpx
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

CACHE_SECONDS = 1.0  # for which an ended session is still accepted; 0: each request asks
CACHE_SIZE = 10_000  # tokens
TIMEOUT = 1.0  # seconds


class RollcallMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.cache: dict[bytes, tuple[float, dict[str, Any]]] = {}
        key = f"Bearer {settings.ROLLCALL_BACKEND_KEY}"
        # One for all threads: it keeps its connections open.
        self.http = httpx.Client(
            base_url=settings.ROLLCALL_URL, headers={"Authorization": key}, timeout=TIMEOUT
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        request.person = None
        if scheme.lower() == "bearer":
            try:
                request.person = self.find_person(token.strip())
            except httpx.HTTPError:
                return problem(503, "unavailable", {"Retry-After": "1"})
            if request.person is None:
                return problem(401, "invalid_token", {"WWW-Authenticate": "Bearer"})
        return self.get_response(request)

    def find_person(self, token: str) -> dict[str, Any] | None:
        """Returns `sub` (the id), `exp` and `claims`; None if the token is not active.

        Raises `httpx.HTTPError` if Rollcall does not say; the client may try again.
        """
        digest, now = sha256(token.encode()).digest(), time.time()
        until, person = self.cache.get(digest, (0.0, {}))
        if now < until:
            return person
        form = {"token": token or "none", "claims": "profile"}
        response = self.http.post("/api/v1/introspect/", data=form)
        response.raise_for_status()  # a 401 is about our own key, and no fault of the client
        person = response.json()
        if not person["active"]:
            return None
        if len(self.cache) >= CACHE_SIZE:
            self.cache.clear()
        self.cache[digest] = min(now + CACHE_SECONDS, person["exp"]), person
        return person


def person_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorates a view: a 401 for a request without a token."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.person is None:
            return problem(401, "invalid_token", {"WWW-Authenticate": "Bearer"})
        return view(request, *args, **kwargs)

    return wrapped


def problem(status: int, code: str, headers: dict[str, str]) -> HttpResponse:
    return JsonResponse({"code": code}, status=status, headers=headers)
