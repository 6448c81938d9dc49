"""The body of an event, and its id."""

from datetime import UTC
from hashlib import sha256
from typing import Any

import orjson

from domain.model.person import Person
from domain.postgres.event_leases import LeasedEvent
from domain.profile import to_public_dict


def webhook_id(event: LeasedEvent) -> str:
    """Returns what a receiver knows the event by: the same for each attempt and replay.

    Not the number alone: a restored database gives it to another event.
    """
    parts = (event.id, event.person_id, event.kind, event.version, event.created_at.timestamp())
    return f"evt_{event.id}_{sha256(repr(parts).encode()).hexdigest()[:12]}"


def render(event: LeasedEvent, person: Person | None) -> bytes:
    """Renders an event as JSON, with the profile of `person` if there is one."""
    data: dict[str, Any] = {"person_id": event.person_id, "version": event.version}
    if event.session_id is not None:
        data["session_id"] = event.session_id
    if person is not None:
        data["profile"] = to_public_dict(person)
    timestamp = event.created_at.astimezone(UTC).isoformat()
    return orjson.dumps({"type": event.kind, "timestamp": timestamp, "data": data})
