"""The server's keys, as the settings have them."""

from functools import cache

from django.conf import settings

from domain.keys import KeyRing


@cache
def ring() -> KeyRing:
    """The key ring of this process."""
    return KeyRing([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
