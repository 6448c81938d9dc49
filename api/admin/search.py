"""Search for people by id or address."""

from contextlib import suppress
from uuid import UUID

from django.conf import settings

from domain.model.address import parse_email, parse_phone
from domain.model.errors import InvalidField
from domain.postgres import person_queries


def find_person_ids(text: str) -> list[UUID]:
    """Returns the people with these ids or that address, verified or not.

    Addresses are parsed as at sign-up, so every spelling is found.
    """
    text = text.strip()
    with suppress(ValueError):  # an address
        return [UUID(word) for word in text.split()]
    try:
        if "@" in text:
            return person_queries.find_by_address(parse_email(text))
        return person_queries.find_by_address(parse_phone(text, settings.DEFAULT_PHONE_REGION))
    except InvalidField:
        return []
