"""The server's keys, as the settings have them."""

from functools import cache

from django.conf import settings

from domain.keys import Keyring


@cache
def get_keyring() -> Keyring:
    """The key ring of this process."""
    return Keyring([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
