"""Texts of errors in the client's language, in both processes: from `api/locale`, without Django.

The catalogues are those that Django's templates use. English is the language of the texts in the
code, and has none.
"""

import gettext
from functools import cache
from pathlib import Path

_LOCALE_DIR = Path(__file__).resolve().parent / "locale"


def translate(text: str, language: str) -> str:
    """Returns a text in a supported language, itself if it is not translated."""
    return _load_catalogue(language).gettext(text)


@cache
def _load_catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("django", _LOCALE_DIR, [language], fallback=True)
