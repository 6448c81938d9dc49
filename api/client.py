"""Who is at the other end of a request."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def client_of(peer: str, forwarded: str, proxies: int) -> str:
    """The address of the client: `peer`, who is connected to us, or whom trusted proxies name.

    Goes in: the value of `X-Forwarded-For`, and how many proxies are trusted. Each adds, at its
    end, whom it had the request from; so with n of them the client is the n-th from the right, and
    what stands to the left of it anybody may have written. Where no such address is, the request
    did not come through all of them, and `peer` is all that is known.
    """
    hops = forwarded.split(",")
    if not 0 < proxies <= len(hops):
        return peer
    client = _parsed(hops[-proxies].strip())
    return peer if client is None else str(client)


def network_of(address: str) -> str:
    """What requests are counted by: an IPv4 address as it is, an IPv6 address by its /64, which is
    the least that a provider gives to one customer (RFC 6177); "unknown" for what is neither.
    """
    client = _parsed(address)
    if isinstance(client, IPv6Address):
        return str(IPv6Address(int(client) >> 64 << 64))
    return "unknown" if client is None else str(client)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, or with a port, or in brackets; None for any other."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
