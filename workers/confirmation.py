"""The message that asks a person to confirm an address, or what its owner is told instead."""

from django.conf import settings
from django.db.models.functions import Now

from domain import code
from domain.address import Address, Channel
from domain.stores import budgets, keys, models
from domain.stores.outbox import End, Job
from domain.stores.people import owner_of
from domain.stores.units.confirmations import is_over, seed_of
from workers.deliveries import delivery_for
from workers.delivery import Message, Refused, messages, notices


def send(job: Job) -> End:
    """Send the code (and link) of the job's confirmation, unless nobody needs it any more.

    Raises `TryAgain` and `Refused` as the delivery does, `OverBudget`, and `Refused` once the
    code is out of date. The clock of the code starts before the first attempt, not at its
    success: a provider that hangs up may have sent it all the same.
    """
    row = _load(job)
    dropped = _why_not(row)
    if row is None or dropped:
        return End(models.Outbox.State.DROPPED, dropped)
    address = Address(Channel(row.channel), row.address, row.address_key)
    # Its owner gets no code that would confirm a stranger (DESIGN section 3).
    owners = models.Person.objects.filter(owner_of(address)).exclude(id=row.person_id)
    owned = owners.exists()
    if row.void and not owned:
        return End(models.Outbox.State.DROPPED, "void")
    budgets.begin(row, "notice" if owned else "confirmation", address)
    message = _taken_notice(row) if owned else _message(row)
    if message is None:
        raise Refused("code_expired")
    provider_id = delivery_for(message.channel).send(message)
    return End(models.Outbox.State.DONE, "owned" if owned else "", provider_id)


def _load(job: Job) -> models.Confirmation | None:
    rows = models.Confirmation.objects.filter(outbox=job.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _why_not(row: models.Confirmation | None) -> str:
    if row is None:
        return "gone"
    if row.confirmed_at is not None:
        return "confirmed"
    return "replaced" if row.ended_at is not None else ""


def _taken_notice(row: models.Confirmation) -> Message:
    return notices.taken_notice(
        channel=row.channel,
        to=row.address,
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )


def _message(row: models.Confirmation) -> Message | None:
    """The text, with what is still good for something in it; None if nothing is."""
    seed = seed_of(row)
    lifetime = code.CODE_LIFETIME[seed.channel]
    digits = None if is_over(row, lifetime) else code.code_for(keys.ring(), seed)
    minutes = int(lifetime.total_seconds() // 60)
    if seed.channel == Channel.PHONE:
        if digits is None:
            return None
        return messages.confirmation_sms(
            to=row.address,
            name=row.person.name,
            code=digits,
            minutes=minutes,
            domain=settings.SMS_DOMAIN,
            service=settings.SERVICE_NAME,
        )
    token = None if is_over(row, code.LINK_LIFETIME) else code.link_token_for(keys.ring(), seed)
    if token is None:
        return None
    return messages.confirmation_email(
        to=row.address,
        name=row.person.name,
        code=digits,
        link=f"{settings.PUBLIC_URL}/confirm/email/#{token}",
        code_minutes=minutes,
        link_hours=int(code.LINK_LIFETIME.total_seconds() // 3600),
        service=settings.SERVICE_NAME,
        public_url=settings.PUBLIC_URL,
    )
