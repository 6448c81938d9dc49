"""Everything that is kept about a person, as that person may have it (GDPR articles 15 and 20)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.model.person import Person
from domain.postgres import models, person_queries
from domain.postgres.session_queries import public_id
from domain.profile import to_public_dict

# Left out: secrets (digests, salts, codes), keyed hashes of networks, and the results of messages,
# which would reveal whether an address belongs to another person.
_COLUMNS: dict[str, tuple[type, tuple[str, ...]]] = {
    "sessions": (
        models.Session,
        ("first_digest", "digest", "created_at", "expires_at", "user_agent", "network"),
    ),
    "confirmations": (
        models.Confirmation,
        ("channel", "address", "created_at", "attempts", "confirmed_at"),
    ),
    "sign_ins": (models.SignInChallenge, ("channel", "created_at", "attempts")),
    "known_networks": (models.KnownNetwork, ("last_used_at",)),
    "idempotency_keys": (models.IdempotencyKey, ("created_at",)),
    "events": (models.Event, ("kind", "version", "session_id", "created_at")),
    "messages": (models.OutboxEntry, ("kind", "created_at")),
}


def export_person(person_id: UUID) -> dict[str, Any] | None:
    """Returns what Postgres has about a person, as JSON has it; None if there is no such person.

    Every table that names people is a list; `tests/system/test_erasure.py` knows them too.
    """
    person = person_queries.get_person(person_id)
    row = models.Person.objects.filter(id=person_id).values(
        "created_at", "email_verified_at", "phone_verified_at", "locale"
    )
    if not isinstance(person, Person) or not row:
        return None
    export = {"id": person_id, "profile": to_public_dict(person), **_to_json(row[0])}
    return export | {name: _list(name, person_id) for name in _COLUMNS}


def _list(name: str, person_id: UUID) -> list[dict[str, Any]]:
    model, columns = _COLUMNS[name]
    rows = model.objects.filter(person_id=person_id)  # type: ignore[attr-defined]  # each is a model
    if model is models.OutboxEntry:
        rows = rows.exclude(kind=models.OutboxEntry.Kind.PROJECT_PROFILE)  # no message
    return [_to_json(row) for row in rows.order_by("pk").values(*columns)]


def _to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row with times in UTC, and a session's public id in place of its digest."""
    if "digest" in row:
        others = {name: value for name, value in row.items() if not name.endswith("digest")}
        row = {"id": public_id(bytes(row["first_digest"] or row["digest"])), **others}
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
