"""No `repr` shows an address, a code, a token or a secret: it may end up in a log."""

import dataclasses
import gc
import importlib
import os
import pkgutil
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

PACKAGES = ("api", "domain", "workers", "settings")
# fmt: off  # one glance
SENSITIVE = {
    "address",
    "auth",
    "authorization",
    "body",
    "canonical",
    "code",
    "credentials",
    "digest",
    "email",
    "handshake",
    "headers",
    "hobbies",
    "html",
    "key",
    "link",
    "mac",
    "name",
    "password",
    "phone",
    "reply",
    "salt",
    "secret",
    "surname",
    "target",
    "text",
    "to",
    "token",
    "url",
    "user",
    "value",
}  # words of a field's name
# fmt: on
# By class and field.
EXEMPT = {
    "CacheEntry.token": "claims, whose repr has no digest",
    "CodeSeed.key_id": "reveals nothing about the key",
    "EventOutcome.reason_code": "a word for operators",
    "LeasedEntry.reason_code": "a word for operators",
    "LeasedEvent.lease_token": "no client has a use for it",
    "Outcome.reason_code": "a word for operators",
    "Policy.headers": "of a response: the same for all clients",
    "ProblemDetails.body": "a problem document, which repeats no input",
    "ProblemDetails.headers": "of the same",
    "Redirect.address": "host and port",
    "StoredSession.token_version": "a number",
    "Timeouts.body": "seconds",
    "_Work.task_name": "of Huey's tasks",
}


@pytest.fixture(autouse=True)
def restored_process() -> Iterator[None]:
    """Undoes what imports here change for later tests: variables, and the garbage collector."""
    with patch.dict(os.environ):
        yield
    gc.unfreeze()


class Secret:
    """A value that is found wherever it is shown."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<<{self._name}>>"


def find_classes() -> Iterator[type]:
    """Yields the dataclasses and named tuples of all packages."""
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.startswith("settings.") or ".migrations" in module.name:
                continue  # they start something, or are Django's
            for value in vars(importlib.import_module(module.name)).values():
                is_ours = isinstance(value, type) and value.__module__ == module.name
                if is_ours and (dataclasses.is_dataclass(value) or hasattr(value, "_fields")):
                    yield value


def build(cls: type) -> tuple[Any, set[str]]:
    """Returns an instance in which every field is its own name, and those names."""
    if dataclasses.is_dataclass(cls):
        names = {field.name for field in dataclasses.fields(cls)}
        instance = object.__new__(cls)
        for name in names:
            object.__setattr__(instance, name, Secret(name))
    else:
        names = set(cls._fields)  # type: ignore[attr-defined]  # of a named tuple
        instance = cls(*map(Secret, cls._fields))  # type: ignore[attr-defined]  # the same
    return instance, names


def is_sensitive(cls: type, field: str) -> bool:
    words = set(field.strip("_").split("_"))
    return bool(words & SENSITIVE) and f"{cls.__name__}.{field}" not in EXEMPT


def test_no_class_shows_a_field_that_may_hold_a_secret(django_setup):
    classes = list(find_classes())
    assert {"Person", "Key", "TokenClaims", "Message"} <= {cls.__name__ for cls in classes}
    shown = []
    for cls in classes:
        instance, names = build(cls)
        texts = (repr(instance), str(instance), f"{instance}", f"{instance!r:.500}")
        shown += [
            f"{cls.__module__}.{cls.__name__}.{name}"
            for name in names
            if is_sensitive(cls, name) and any(f"<<{name}>>" in text for text in texts)
        ]
    assert sorted(shown) == []


def test_every_exemption_is_of_a_field_that_exists(django_setup):
    fields = {f"{cls.__name__}.{name}" for cls in find_classes() for name in build(cls)[1]}
    assert EXEMPT.keys() <= fields


def test_no_client_keyring_or_settings_object_shows_a_secret(django_setup):
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django_otp.plugins.otp_totp.models import TOTPDevice

    from domain.model.keyring import Keyring
    from domain.postgres.backend.peewee_database import PeeweeDatabase
    from domain.postgres.models import Confirmation, Person
    from domain.projection.pools import make_pool
    from domain.redis_url import parse_url
    from settings.environment import env
    from workers.providers.sendgrid import SendGrid
    from workers.providers.vonage import Vonage

    secret = "correct-horse-battery-staple"
    keyring = Keyring([secret])
    device = TOTPDevice(key=secret, user=get_user_model()(username="staff", password=secret))
    url = parse_url(f"rediss+sentinel://user:{secret}@127.0.0.1:1/name?sentinel_password={secret}")
    pool = make_pool(url, server="profiles")
    holders = [
        keyring,
        keyring.signing_key,
        url,
        url.credentials,
        *pool.primaries(),
        pool.primaries()[0][0].make_connection(),
        PeeweeDatabase(f"postgresql://user:{secret}@127.0.0.1:1/none"),
        settings,
        env,
        SendGrid(settings),
        Vonage(settings),
        Person(name=secret, email=secret, phone=secret),
        Confirmation(address=secret, salt=secret.encode()),
        device,
        device.user,
    ]
    for holder in holders:
        for text in (repr(holder), str(holder), f"{[holder]}"):
            assert secret not in text
            assert settings.SECRET_KEY not in text
