"""Keyed hashes of addresses and networks: what counters and challenges store in place of them.

Only who has a server key can tell whether a hash is that of an address. Each function returns the
hash by every key, the signing key's first: that one is stored, and all are looked for, so that a
key rotation resets no counter.
"""

from domain.model.address import Address
from domain.model.keyring import Keyring

_NETWORK_HASH_BYTES = 16


def hash_address(keyring: Keyring, address: Address) -> list[bytes]:
    """Returns the keyed hashes of an address in its canonical form."""
    channel, canonical = address.channel.encode(), address.canonical.encode()
    return keyring.macs_with_all_keys(b"address", channel, canonical)


def hash_network(keyring: Keyring, network: str) -> list[bytes]:
    """Returns the keyed hashes of a client's network (`api.client_ip.client_network`)."""
    macs = keyring.macs_with_all_keys(b"network", network.encode())
    return [mac[:_NETWORK_HASH_BYTES] for mac in macs]
