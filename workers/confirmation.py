"""The message that asks a person to confirm an address."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from domain import code
from domain.address import Channel
from domain.stores import keys, models
from domain.stores.outbox import Job
from domain.stores.unit_of_work import is_over, seed_of
from workers.deliveries import delivery_for
from workers.delivery import Message, Refused, messages


@dataclass(frozen=True, slots=True)
class End:
    """How an outbox row ended: its state, why, and the provider's id of the message."""

    state: models.Outbox.State
    reason: str = ""
    provider_id: str = ""


def send(job: Job) -> End:
    """Send the code (and link) of the job's confirmation, unless nobody needs it any more.

    Raises `TryAgain` and `Refused` as the delivery does, and `Refused` once the code is out of
    date. The clock of the code starts before the first attempt, not at its success: a provider
    that hangs up may have sent it all the same.
    """
    row = _load(job)
    dropped = _why_not(row)
    if row is None or dropped:
        return End(models.Outbox.State.DROPPED, dropped)
    models.Confirmation.objects.filter(id=row.pk).update(
        first_sent_at=Coalesce("first_sent_at", Now())
    )
    message = _message(row)
    if message is None:
        raise Refused("code_expired")
    return End(models.Outbox.State.DONE, provider_id=delivery_for(message.channel).send(message))


def _load(job: Job) -> models.Confirmation | None:
    rows = models.Confirmation.objects.filter(outbox=job.id).select_related("person")
    return rows.annotate(now=Now()).first()


def _why_not(row: models.Confirmation | None) -> str:
    if row is None:
        return "gone"
    if row.confirmed_at is not None:
        return "confirmed"
    if row.ended_at is not None:
        return "replaced"
    if row.void or _owned_by_another(row):
        return "owned"
    return ""


def _owned_by_another(row: models.Confirmation) -> bool:
    """Its owner gets no code that would confirm a stranger (DESIGN section 3)."""
    owner = (
        Q(email_key=row.address_key, email_verified_at__isnull=False)
        if row.channel == Channel.EMAIL
        else Q(phone=row.address_key, phone_verified_at__isnull=False)
    )
    return models.Person.objects.filter(owner).exclude(id=row.person_id).exists()


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
