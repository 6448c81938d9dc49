"""Sessions, and the challenges by which they are created.

The methods are described in `domain.commands.ports.UnitOfWork`.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now

from domain.commands.ports import CommandResult, OutboxRef, SignInChallenge, StoredSession
from domain.model import one_time_code
from domain.model.address import Address, Channel
from domain.model.errors import InvalidCode, InvalidToken, TooManyAttempts
from domain.model.keyed_hash import hash_address
from domain.model.one_time_code import CodeSeed
from domain.model.person import ActiveSession, Person, SessionClient
from domain.model.session_token import MAX_SESSIONS, TokenClaims
from domain.postgres import events, known_networks, locks, models, outbox, sliding_windows
from domain.postgres.code_rows import (
    count_code_attempt,
    derivation_context,
    is_expired,
    pending_confirmations,
)
from domain.postgres.events import Change
from domain.postgres.keyring import get_keyring
from domain.postgres.models import Event
from domain.postgres.person_queries import NIL_UUID, reload_person, verified_owner_filter
from domain.postgres.repositories.accounts import AccountRepository
from domain.postgres.session_queries import filter_by_token, to_stored_session


class SessionRepository(AccountRepository):
    """The part of a unit of work that authenticates people and signs them in."""

    def find_session(self, claims: TokenClaims, now: datetime) -> StoredSession | None:
        rows = filter_by_token(claims.person_id, claims.digest, now).filter(expires_at__gt=now)
        row = rows.first()
        return to_stored_session(row) if row else None

    def lock_person_by_token(self, claims: TokenClaims, now: datetime) -> Person:
        # The person is locked first: sessions are revoked under the same lock.
        if not self.lock_person(claims.person_id):
            raise InvalidToken
        if self.find_session(claims, now) is None:
            raise InvalidToken
        return reload_person(claims.person_id)

    def create_session(
        self, person_id: UUID, session: ActiveSession, client: SessionClient
    ) -> CommandResult[Person]:
        models.Session.objects.create(
            person_id=person_id,
            digest=session.digest,
            expires_at=session.expires_at,
            **asdict(client),
        )
        rows = models.Session.objects.filter(person_id=person_id)
        newest = rows.filter(expires_at__gt=Now()).order_by("-id").values("id")[:MAX_SESSIONS]
        self._revoke(rows.exclude(id__in=list(newest.values_list("id", flat=True))))
        return self.bump_version(person_id)

    def revoke_sessions(self, person_id: UUID, digest: bytes | None = None) -> None:
        rows = models.Session.objects.filter(person_id=person_id)
        if digest is not None:
            rows = rows.filter(Q(digest=digest) | Q(previous_digest=digest))
        self._revoke(rows)

    def _revoke(self, rows: QuerySet[models.Session]) -> None:
        """Deletes sessions of the locked person."""
        if events.is_enabled():
            active = rows.filter(expires_at__gt=Now()).order_by("id")
            ids = [to_stored_session(row).id for row in active]
            self._changes += [Change(Event.Kind.SESSION_REVOKED, each) for each in ids]
        rows.delete()

    def list_sessions(self, person_id: UUID, now: datetime) -> list[StoredSession]:
        rows = models.Session.objects.filter(person_id=person_id, expires_at__gt=now)
        return [to_stored_session(row) for row in rows.order_by("-id")[:MAX_SESSIONS]]

    def replace_token(
        self,
        digest: bytes,
        accepted_until: datetime,
        new: ActiveSession,
        version: int,
        client: SessionClient,
    ) -> None:
        models.Session.objects.filter(digest=digest).update(
            digest=new.digest,
            expires_at=new.expires_at,
            previous_digest=digest,
            previous_expires_at=accepted_until,
            token_version=version,
            first_digest=Coalesce("first_digest", "digest"),
            **asdict(client),
        )

    def create_sign_in_challenge(
        self,
        address: Address,
        address_hashes: list[bytes],
        network_hashes: list[bytes],
        seed: CodeSeed,
    ) -> tuple[int, timedelta, list[OutboxRef]]:
        locks.lock_address(address, shared=True)
        owners = models.Person.objects.filter(verified_owner_filter(address))
        owner_id = owners.values_list("id", flat=True).first()
        row = models.SignInChallenge.objects.create(
            channel=address.channel,
            address_hash=address_hashes[0],
            network_hash=network_hashes[0],
            from_known_network=known_networks.is_known(owner_id or NIL_UUID, network_hashes),
            person_id=owner_id,
            salt=seed.salt,
            key_id=seed.key_id,
        )
        outbox_ref = outbox.add(models.OutboxEntry.Kind.SIGN_IN_CODE, owner_id, sign_in=row)
        return row.pk, _cooldown(address_hashes, network_hashes), [outbox_ref]

    def record_sign_in_attempt(self, challenge_id: int, token: str) -> SignInChallenge:
        row = models.SignInChallenge.objects.annotate(now=Now()).filter(id=challenge_id).first()
        if row is None or not _has_token(row, token):
            raise InvalidCode
        if not count_code_attempt(row):
            remaining = row.created_at + one_time_code.SIGN_IN_LIFETIME - row.now
            raise TooManyAttempts(sliding_windows.ceil_seconds(remaining))
        sliding_windows.record_failure([bytes(row.address_hash)])
        is_usable = not (row.superseded_at or is_expired(row, one_time_code.SIGN_IN_LIFETIME))
        return SignInChallenge(derivation_context(row), is_usable)

    def consume_sign_in_code(self, challenge_id: int, network_hashes: list[bytes]) -> Person:
        rows = models.SignInChallenge.objects.filter(id=challenge_id, superseded_at=None)
        row = rows.first()
        if row is None or row.person_id is None or not self.lock_person(row.person_id):
            raise InvalidCode
        person = models.Person.objects.get(id=row.person_id)
        address = Address(Channel(row.channel), getattr(person, row.channel))
        confirmed_at: datetime | None = getattr(person, f"{row.channel}_verified_at")
        is_address = bytes(row.address_hash) in hash_address(get_keyring(), address)
        if not is_address or confirmed_at is None or not rows.update(superseded_at=Now()):
            raise InvalidCode
        sliding_windows.take_back_failure([bytes(row.address_hash)])
        if getattr(person, f"{row.channel}_first_sign_in_at") is None:
            sessions, resets_other = _undo_all_before(confirmed_at, person, address.channel)
            self._revoke(sessions)
            if resets_other:
                self._changes.append(Change(Event.Kind.PROFILE_CHANGED))
        known_networks.remember(person.id, network_hashes)
        return reload_person(person.id)


def _cooldown(address_hashes: list[bytes], network_hashes: list[bytes]) -> timedelta:
    """Returns after how long a message can follow the latest challenge for that address from that
    network.
    """
    limit = sliding_windows.message_limit()
    rows = models.SignInChallenge.objects.filter(
        address_hash__in=address_hashes, network_hash__in=network_hashes
    )
    newest = rows.order_by("-created_at").values_list("created_at", flat=True)[: limit.max_per_day]
    times = sorted(newest)
    return limit.retry_after(times, times[-1])


def _has_token(row: models.SignInChallenge, token: str) -> bool:
    seed = CodeSeed(bytes(row.salt), bytes(row.key_id))
    expected = one_time_code.derive_challenge_token(get_keyring(), row.pk, seed)
    return one_time_code.constant_time_equal(expected, token)


def _undo_all_before(
    confirmed_at: datetime, person: models.Person, channel: Channel
) -> tuple[QuerySet[models.Session], bool]:
    """Undoes what another may have prepared who signed up with this person's address: the sessions
    and known networks from before it was confirmed, a verification of the other address by one of
    these sessions, and changes of an address, whose link needs no session. Returns the sessions,
    which the caller revokes, and whether the other address is not verified any more.

    A session in which the code of this address was entered is its owner's: what that one has
    verified stays. If another one has verified an address of the other channel, that one may have
    been signed in with since, and replaced: then no session and no later address is trusted either.
    """
    (other,) = set(Channel) - {channel}
    confirmed = models.Confirmation.objects.filter(
        person=person, confirmed_at__isnull=False, superseded_at=None
    )
    own_session = _find_session(confirmed, person, channel)
    prepared = confirmed.filter(channel=other, session_created_at__lt=confirmed_at)
    if own_session is not None:
        prepared = prepared.exclude(session_created_at=own_session)
    sessions = models.Session.objects.filter(person=person)
    changes: dict[str, Any] = {f"{channel}_first_sign_in_at": Now()}
    if not prepared.exists():
        sessions = sessions.filter(created_at__lt=confirmed_at)
    else:
        known_networks.forget(person.id)
        if own_session is None or _find_session(confirmed, person, other) != own_session:
            confirmed.filter(channel=other).update(superseded_at=Now())
            changes[f"{other}_verified_at"] = None
    changes_of_address = pending_confirmations(person.id).exclude(replaces_address="")
    changes_of_address.update(superseded_at=Now())
    models.Person.objects.filter(id=person.id).update(**changes)
    return sessions, f"{other}_verified_at" in changes


def _find_session(
    confirmed: QuerySet[models.Confirmation], person: models.Person, channel: Channel
) -> datetime | None:
    """Returns when the session began in which the person's address was confirmed."""
    address = Address(channel, getattr(person, channel))
    rows = confirmed.filter(channel=channel, address_canonical=address.canonical)
    return rows.order_by("-id").values_list("session_created_at", flat=True).first()
