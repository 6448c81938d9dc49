"""Countries and e-mail addresses in settings."""

from collections.abc import Iterable

from environs import EnvValidationError, ValidationError
from phonenumbers import SUPPORTED_REGIONS

from domain.model.address import parse_email
from domain.model.errors import InvalidField


def validate_region(code: str) -> None:
    """Accepts an ISO 3166-1 alpha-2 code with phone numbers of its own, in upper or lower case."""
    if code.upper() not in SUPPORTED_REGIONS:
        raise ValidationError("It must be an ISO 3166-1 country of two letters, such as ES or GB.")


def validate_email(text: str) -> None:
    """Accepts what `parse_email` does, as it stands: without a display name."""
    try:
        parse_email(text)
    except InvalidField:
        raise ValidationError("It must be an e-mail address, without a name.") from None


def parse_countries(name: str, codes: Iterable[str]) -> list[str]:
    """Returns the codes in upper case; none if they are "*", which stands for all.

    Raises `EnvValidationError`, which names the setting.
    """
    countries = [code.upper() for code in codes]
    if countries == ["*"]:
        return []
    if unknown := sorted(set(countries) - SUPPORTED_REGIONS):
        raise EnvValidationError(
            f"{name}: {', '.join(unknown)}: each must be an ISO 3166-1 country of two letters, such"
            " as ES or GB; or there is * alone.",
            [],
        )
    return countries
