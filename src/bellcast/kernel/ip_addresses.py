"""IP addresses of clients, and servers that URLs name."""

import ipaddress
import re
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 1123 §2.1, with the underscores of names in container networks.
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# RFC 1035 §2.3.4, without the lengths and the root.
MAX_NAME = 253
MAX_SERVER = MAX_NAME + len(".:65535")


def is_server(netloc: str) -> bool:
    """True for an IP address or a host name that can be resolved, with a port that can be connected to or without one."""
    return len(netloc) <= MAX_SERVER and _is_server(netloc)  # peers send names of any length: they are not remembered


@lru_cache(1_000)  # links of many notifications name the same few servers
def _is_server(netloc: str) -> bool:
    try:
        parts = urlsplit(f"//{netloc}")
        host = parts.hostname or ""
        if parts.netloc != netloc or parts.port == 0 or "@" in netloc:
            return False
        if not host.isascii():
            import idna  # only for international names: the import takes 20 ms

            host = idna.encode(host, uts46=True).decode()
    except ValueError:  # also of IDNA
        return False
    labels = host.removesuffix(".").split(".")
    is_name = len(host) <= MAX_NAME and all(map(LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return is_name or parse(host) is not None


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
