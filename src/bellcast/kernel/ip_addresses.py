"""IP addresses of clients."""

import ipaddress
from typing import TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(address: str | None) -> IPAddress | None:
    """Parse an IP address; None if the text is not one. Dual-stack proxies forward IPv4 addresses mapped into IPv6 (RFC
    4291, 2.5.5.2)."""
    try:
        result = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    return getattr(result, "ipv4_mapped", None) or result


def is_loopback(address: str) -> bool:
    """Return whether an IP address is a loopback address, including IPv4-mapped IPv6. False for names."""
    parsed = parse(address)
    return parsed is not None and parsed.is_loopback
