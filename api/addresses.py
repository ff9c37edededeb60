"""From which address a request comes; what a header says of it is believed of proxies that a setting names alone."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from multidict import CIMultiDictProxy

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

#: Nobody has less than this of IPv6: each of its addresses would else be a caller of its own.
OF_ONE_CALLER = 64


def networks(text: str) -> Networks:
    """`10.0.0.0/8, fd00::/8` as networks. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str | None, headers: CIMultiDictProxy[str], proxies: Networks) -> Address | None:
    """The nearest address that is no trusted proxy: the peer's, or one that a trusted proxy has put into
    `X-Forwarded-For`. What stands left of it may have been made up by the client."""
    found = parsed(peer)
    for said in _from_the_right(headers.getall("X-Forwarded-For", [])):
        if found is None or not is_within(found, proxies):
            break
        nearer = parsed(said)
        if nearer is None:
            break
        found = nearer
    return found


def _from_the_right(lines: list[str]) -> Iterator[str]:
    return reversed([part.strip() for part in ",".join(lines).split(",") if part.strip()])


def parsed(text: str | None) -> Address | None:
    """IPv4 within IPv6 is IPv4; None where it is no address."""
    try:
        found = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_within(address: Address, proxies: Networks) -> bool:
    return any(address in network for network in proxies)


def counted_address(address: Address | None) -> str:
    """The address, or the IPv6 network, that requests are counted by."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, OF_ONE_CALLER), strict=False))
    return str(address)
