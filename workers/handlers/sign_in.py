"""Handler of `sign_in_code`: sends a sign-in code."""

from django.conf import settings
from django.db.models.functions import Now

from domain.model import one_time_code
from domain.model.address import Address, Channel, canonicalize
from domain.postgres import keyring, message_quotas, models
from domain.postgres.outbox import LeasedEntry, Outcome
from domain.postgres.repositories.confirmations import is_expired
from domain.postgres.repositories.sessions import derivation_context
from workers.messages import notices
from workers.providers import Message, PermanentFailure
from workers.providers.registry import get_provider


def send(entry: LeasedEntry) -> Outcome:
    """Sends the code to a verified address; discards the challenge of any other.

    Raises `TemporaryFailure` and `PermanentFailure` as the provider does, `QuotaExceeded`, and
    `PermanentFailure` once the code has expired.
    """
    row = _load_row(entry)
    if row is None:
        return Outcome(models.OutboxEntry.State.DISCARDED, "person_deleted")
    if row.superseded_at is not None:
        return Outcome(models.OutboxEntry.State.DISCARDED, "superseded")
    address = _find_address(row)
    if address is None:
        return Outcome(models.OutboxEntry.State.DISCARDED, "address_not_verified")
    message_quotas.reserve_first_attempt(row, "sign-in code", address)
    digits = one_time_code.derive_sign_in_code(
        keyring.get_keyring(), derivation_context(row, address)
    )
    if digits is None or is_expired(row, one_time_code.SIGN_IN_LIFETIME):
        raise PermanentFailure("code_expired")
    message_id = get_provider(address.channel).send(_build_message(address, digits))
    return Outcome(models.OutboxEntry.State.DONE, provider_message_id=message_id)


def _load_row(entry: LeasedEntry) -> models.SignInChallenge | None:
    rows = models.SignInChallenge.objects.filter(outbox=entry.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _find_address(row: models.SignInChallenge) -> Address | None:
    """Returns the address of the challenge, if it is still verified; None if not."""
    if row.person_id is None:
        return None
    person = models.Person.objects.filter(id=row.person_id).first()
    if person is None:
        return None
    channel = Channel(row.channel)
    value: str = getattr(person, channel)
    is_verified = getattr(person, f"{channel}_verified_at") is not None
    address = Address(channel, value, canonicalize(channel, value))
    hashes = keyring.get_keyring().macs_with_all_keys(
        b"sign-in address", channel.encode(), address.canonical.encode()
    )
    return address if is_verified and bytes(row.address_hash) in hashes else None


def _build_message(address: Address, digits: str) -> Message:
    minutes = int(one_time_code.SIGN_IN_LIFETIME.total_seconds() // 60)
    if address.channel is Channel.PHONE:
        return notices.sign_in_sms(
            to=address.value,
            code=digits,
            minutes=minutes,
            domain=settings.SMS_DOMAIN,
            service=settings.SERVICE_NAME,
        )
    return notices.sign_in_email(
        to=address.value,
        code=digits,
        minutes=minutes,
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )
