"""The session of a client, and the profile that was read in it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rollcall_client.models import Session

# After a refresh that failed: soon, because the token may have been replaced all the same, and the
# old one can be refreshed again for 30 seconds.
_REFRESH_RETRY = timedelta(seconds=5)


@dataclass(frozen=True)
class CachedProfile:
    """A profile as the service sent it, with its ETag."""

    etag: str
    body: bytes = field(repr=False)


class SessionState:
    """A session, when it is due for a new token, and the profile that was read in it.

    A token is due `refresh_before` its end, or after half of its life if that is later. How old
    the first one is is unknown: it may be due at once.
    """

    def __init__(self, session: Session | None, refresh_before: timedelta) -> None:
        self.session = session
        self.profile: CachedProfile | None = None
        self.refresh_before = refresh_before
        self._refresh_at = session.expires_at - refresh_before if session else None

    def renew(self, session: Session) -> None:
        """Takes a new token of the session."""
        life = session.expires_at - datetime.now(UTC)
        self._refresh_at = session.expires_at - min(self.refresh_before, life / 2)
        if self.session and session.expires_at <= self.session.expires_at:
            self._refresh_at = None  # it has reached the end of its longest life
        self.session = session

    def postpone_refresh(self) -> None:
        """Puts off the refresh, because the service could not do it now."""
        self._refresh_at = datetime.now(UTC) + _REFRESH_RETRY

    @property
    def needs_refresh(self) -> bool:
        """Whether the session is due for a new token."""
        return self._refresh_at is not None and datetime.now(UTC) >= self._refresh_at
