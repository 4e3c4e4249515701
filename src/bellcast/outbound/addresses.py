"""Which addresses a guarded request may go to. Pure: only what is out on the public internet."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An IPv4 address travels inside these; what counts is where it comes out (RFC 6052, 3056; Teredo is long gone).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Whether the address is one anybody could reach: not private, loopback, link-local, reserved or multicast."""
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
