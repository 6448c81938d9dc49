"""The keyring of the settings."""

from functools import cache

from django.conf import settings

from domain.model.keyring import Keyring


@cache
def get_keyring() -> Keyring:
    """Returns the keyring of this process."""
    return Keyring([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
