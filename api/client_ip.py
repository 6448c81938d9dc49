"""The client's IP address, and the network that its requests are counted by.

Not python-ipware: of more entries than the trusted proxies append to `X-Forwarded-For` it returns
the leftmost, which the client may have forged.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


def get_client_ip(peer: str, forwarded_for: str, trusted_proxies: int) -> str:
    """Returns the address of the client, as the outermost of the trusted proxies has seen it.

    `peer` is the other end of the connection, empty for a unix socket: that is the read process or
    a proxy beside it, which is trusted in addition to `trusted_proxies`. `forwarded_for` is the
    value of `X-Forwarded-For`: each proxy appends whom it received the request from, so anything to
    the left of what the trusted ones have appended may be forged. If the request did not pass
    through all of them, or the entry is no address, the nearest address known is returned.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",")]
    if peer:
        hops.append(peer)
    if len(hops) > trusted_proxies and (client := _parse_ip(hops[-1 - trusted_proxies])):
        return str(client)
    return hops[-1]


def client_network(address: str) -> str:
    """Returns what requests are counted by: an IPv4 address itself, an IPv6 address's /64, the
    least that a provider assigns to one customer (RFC 6177); "unknown" for anything else.
    """
    client = _parse_ip(address)
    if isinstance(client, IPv6Address):
        return f"{client.packed[:8].hex(':', 2)}::/64"
    return "unknown" if client is None else str(client)


def client_site(address: str) -> str | None:
    """Returns the /48 of an IPv6 address, the most that a provider assigns to one customer, who
    then has 65,536 networks (RFC 6177); None for anything else.
    """
    client = _parse_ip(address)
    return f"{client.packed[:6].hex(':', 2)}::/48" if isinstance(client, IPv6Address) else None


def displayed_network(address: str) -> str:
    """Returns the network that a person sees beside a session: an IPv4 address's /24, an IPv6
    address's /48, the least that is announced on the Internet; empty for anything else.
    """
    match _parse_ip(address):
        case IPv4Address(packed=packed):
            return f"{IPv4Address(packed[:3] + bytes(1))}/24"
        case IPv6Address(packed=packed):
            return f"{IPv6Address(packed[:6] + bytes(10))}/48"
    return ""


@lru_cache(1024)
def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    """Parses an address as proxies write it: bare, with a port, or in brackets."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
