"""The networks from which a person has entered a code that was sent to them."""

from collections.abc import Sequence
from uuid import UUID

from domain.postgres.models import KnownNetwork
from domain.postgres.sql import execute

_MAX_NETWORKS = 10  # of a person: homes, offices, and the last of a mobile network
_UPSERT = """
    INSERT INTO rollcall_knownnetwork (person_id, network_hash, last_used_at)
    VALUES (%s, %s, now())
    ON CONFLICT (person_id, network_hash) DO UPDATE SET last_used_at = now()
"""


def remember(person_id: UUID, network_hashes: Sequence[bytes]) -> None:
    """Remembers a network, and forgets the one that was not used for the longest time if there are
    too many. Its hashes are by every server key, the signing key's first.
    """
    rows = KnownNetwork.objects.filter(person_id=person_id)
    rows.filter(network_hash__in=network_hashes[1:]).delete()  # by an earlier signing key
    execute(_UPSERT, [person_id, network_hashes[0]])
    newest = rows.order_by("-last_used_at").values_list("id", flat=True)[:_MAX_NETWORKS]
    rows.exclude(id__in=list(newest)).delete()


def forget(person_id: UUID) -> None:
    """Forgets all networks: another may have used them before the owner signed in."""
    KnownNetwork.objects.filter(person_id=person_id).delete()


def is_known(person_id: UUID, network_hashes: Sequence[bytes]) -> bool:
    """Returns whether a person has entered a code from that network before."""
    rows = KnownNetwork.objects.filter(person_id=person_id, network_hash__in=network_hashes)
    return rows.exists()
