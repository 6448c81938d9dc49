"""Whom staff mean by what they type."""

from uuid import UUID

from django.conf import settings

from domain.address import parse_email, parse_phone
from domain.errors import InvalidField
from domain.stores import people


def ids_of(text: str) -> list[UUID]:
    """The people with that id, or that address in whatever spelling; owners and claimants alike.

    Addresses are read as at sign-up, so whatever finds somebody there does here.
    """
    text = text.strip()
    try:
        return [UUID(text)]
    except ValueError:
        pass  # then it is an address
    try:
        if "@" in text:
            return people.find_by_address(parse_email(text))
        return people.find_by_address(parse_phone(text, settings.DEFAULT_PHONE_REGION))
    except InvalidField:
        return []
