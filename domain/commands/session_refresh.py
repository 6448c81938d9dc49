"""Refreshes a session: replaces its token by one with a new lifetime."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.commands.ports import CommandResult, StoredSession, UnitOfWorkFactory
from domain.commands.sessions import NewSession
from domain.model import session_token
from domain.model.errors import InvalidToken
from domain.model.keyring import Keyring
from domain.model.person import ActiveSession, Person, SessionClient

REFRESH_OVERLAP = timedelta(seconds=30)  # for which a refreshed token is still accepted


@dataclass(frozen=True, slots=True)
class SessionLifetime:
    """For how long a session lasts from its sign-in or refresh, and from its sign-in at most."""

    since_refresh: timedelta
    since_sign_in: timedelta

    def expiry(self, session: StoredSession, now: datetime) -> datetime:
        """Returns until when a session lasts that is refreshed now."""
        expires_at = min(now + self.since_refresh, session.created_at + self.since_sign_in)
        return expires_at.replace(microsecond=0)


def refresh_session(
    token: str,
    unit_of_work: UnitOfWorkFactory,
    keyring: Keyring,
    now: datetime,
    lifetime: SessionLifetime,
    client: SessionClient,
) -> NewSession:
    """Replaces a session's token by one with a new lifetime. The old one is accepted for a while:
    requests with it may be under way, and its refresh may be repeated, with the same result.

    Raises `InvalidToken`.
    """
    claims = session_token.verify_token(keyring, token)
    with unit_of_work() as uow:
        person = uow.lock_person_by_token(claims, now)
        session = uow.find_session(claims, now)
        if session is None:  # it has expired since the line before
            raise InvalidToken
        if session.digest != claims.digest:
            return _repeat_refresh(token, session, person, keyring)
        tokens = session_token.derive_refreshed_tokens(
            keyring, token, person.id, person.version + 1
        )
        new_token, digest = tokens[0]
        new = ActiveSession(digest, lifetime.expiry(session, now))
        accepted_until = min(_ceil_to_second(now + REFRESH_OVERLAP), session.expires_at)
        uow.replace_token(claims.digest, accepted_until, new, person.version + 1, client)
        return NewSession(uow.bump_version(person.id), new_token, new.expires_at)


def _repeat_refresh(
    token: str, session: StoredSession, person: Person, keyring: Keyring
) -> NewSession:
    """Returns the new token of a session once more, from the token that it has replaced."""
    for new_token, digest in session_token.derive_refreshed_tokens(
        keyring, token, person.id, session.token_version or 0
    ):
        if digest == session.digest:
            return NewSession(CommandResult(person, []), new_token, session.expires_at)
    raise InvalidToken  # the key that has signed it is no longer in the keyring


def _ceil_to_second(time: datetime) -> datetime:
    """Rounds a time up to whole seconds, which is what a profile hash has."""
    return (time + timedelta(microseconds=999_999)).replace(microsecond=0)
