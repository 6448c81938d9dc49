"""The message with a code to sign in by."""

from django.conf import settings
from django.db.models.functions import Now

from domain import code
from domain.address import Address, Channel, key_of
from domain.stores import budgets, keys, models
from domain.stores.outbox import End, Job
from domain.stores.units.confirmations import is_over
from domain.stores.units.sessions import seed_of
from workers.deliveries import delivery_for
from workers.delivery import Message, Refused, notices


def send(job: Job) -> End:
    """Send the code to the address that its owner has confirmed; nothing to nobody's address.

    Raises `TryAgain` and `Refused` as the delivery does, `OverBudget`, and `Refused` once the
    code is out of date.
    """
    row = _load(job)
    address = _address(row)
    if row is None or row.ended_at is not None or address is None:
        return End(models.Outbox.State.DROPPED, "gone")
    budgets.begin(row, "sign-in code", address)
    digits = code.sign_in_code_for(keys.ring(), seed_of(row, address))
    if digits is None or is_over(row, code.SIGN_IN_LIFETIME):
        raise Refused("code_expired")
    provider_id = delivery_for(address.channel).send(_message(address, digits))
    return End(models.Outbox.State.DONE, provider_id=provider_id)


def _load(job: Job) -> models.SignIn | None:
    rows = models.SignIn.objects.filter(outbox=job.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _address(row: models.SignIn | None) -> Address | None:
    """Where the code goes: to the very address that was typed, if it is still confirmed."""
    if row is None or row.person_id is None:
        return None
    person = models.Person.objects.filter(id=row.person_id).first()
    if person is None:
        return None
    channel = Channel(row.channel)
    value: str = getattr(person, channel)
    confirmed = getattr(person, f"{channel}_verified_at") is not None
    address = Address(channel, value, key_of(channel, value))
    hashes = keys.ring().macs(b"sign-in address", channel.encode(), address.key.encode())
    return address if confirmed and bytes(row.address_hash) in hashes else None


def _message(address: Address, digits: str) -> Message:
    minutes = int(code.SIGN_IN_LIFETIME.total_seconds() // 60)
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
