"""Strings that must not be shown."""


class Secret(str):
    """A string whose `repr` does not show it, such as a session token; `str()` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"
