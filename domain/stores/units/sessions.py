"""Signing in, and the sessions that it opens."""

from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from domain import code, limits, ports
from domain.address import Address, Channel
from domain.code import Seed
from domain.errors import CodeInvalid
from domain.limits import Rule
from domain.person import LiveSession, Person
from domain.ports import Committed
from domain.session import SESSIONS_MAX
from domain.stores import models, sms, tallies
from domain.stores.people import owner_of, state_of
from domain.stores.units.accounts import Accounts, work_row
from domain.stores.units.confirmations import FAILURES, is_over

NOBODY = UUID(int=0)


class Sessions(Accounts):
    """The part of a unit of work that lets people in."""

    def open_sign_in(
        self, address: Address, hashes: list[bytes], salt: bytes, key: bytes
    ) -> list[int]:
        asked = tallies.messages("sign-in", address)
        rule = Rule(settings.MESSAGES_A_DAY, settings.MESSAGE_PAUSE)
        if tallies.take(asked, rule):
            return []
        owner = models.Person.objects.filter(owner_of(address)).values_list("id", flat=True).first()
        rows = models.SignIn.objects.filter(address_hash__in=hashes, ended_at=None)
        rows.update(ended_at=Now())
        row = models.SignIn.objects.create(
            channel=address.channel,
            address_hash=hashes[0],
            person_id=owner,
            salt=salt,
            key_id=key,
        )
        return [work_row(models.Outbox.Kind.SIGN_IN, owner, sign_in=row)]

    def count_sign_in(self, address: Address, hashes: list[bytes]) -> ports.SignInTry:
        newest = models.SignIn.objects.filter(address_hash__in=hashes).order_by("-id")
        counted = models.SignIn.objects.filter(
            id=newest.values("id")[:1], tries__lt=code.TRIES
        ).update(tries=F("tries") + 1)
        row = newest.annotate(now=Now()).first()
        if row is not None and not counted:
            left = row.created_at + code.SIGN_IN_LIFETIME - row.now
            return ports.SignInTry(False, limits.seconds(left), row.pk, None)
        wait = tallies.take(tallies.sign_in_failures(hashes[0]), FAILURES)
        if row is None or row.ended_at is not None or is_over(row, code.SIGN_IN_LIFETIME):
            return ports.SignInTry(not wait, limits.seconds(wait), 0, None)
        return ports.SignInTry(not wait, limits.seconds(wait), row.pk, seed_of(row, address))

    def sign_in(self, row_id: int, address: Address) -> Person:
        person = models.Person.objects.select_for_update().filter(owner_of(address)).first()
        row = models.SignIn.objects.filter(id=row_id).first()
        if person is None or row is None or row.person_id != person.id:
            raise CodeInvalid
        if not models.SignIn.objects.filter(id=row_id, ended_at=None).update(ended_at=Now()):
            raise CodeInvalid
        tallies.clear(tallies.sign_in_failures(bytes(row.address_hash)))
        if address.channel is Channel.PHONE and row.first_sent_at is not None:
            sms.count_confirmed(address.value, row.first_sent_at)
        # Whoever signed up with somebody else's address may still have that session (DESIGN 3).
        # After the first sign-in there is none that is older, so it need not be known which it is.
        confirmed_at = getattr(person, f"{address.channel}_verified_at")
        models.Session.objects.filter(person_id=person.id, created_at__lt=confirmed_at).delete()
        return state_of(person)

    def open_session(self, person_id: UUID, session: LiveSession) -> Committed[Person]:
        models.Session.objects.create(
            person_id=person_id, digest=session.digest, expires_at=session.expires_at
        )
        rows = models.Session.objects.filter(person_id=person_id)
        newest = rows.filter(expires_at__gt=Now()).order_by("-id").values("id")[:SESSIONS_MAX]
        rows.exclude(id__in=list(newest.values_list("id", flat=True))).delete()
        return self.changed(person_id)


def seed_of(row: models.SignIn, address: Address) -> Seed:
    """What the code of a sign-in is derived from. Nobody's codes are derived too, and not sent."""
    return Seed(
        row_id=row.pk,
        person_id=row.person_id or NOBODY,
        channel=address.channel,
        address_key=address.key,
        salt=bytes(row.salt),
        key_id=bytes(row.key_id),
    )
