"""Restrict requests to URLs that users supply: public addresses over TLS, and addresses that the operator allows.

A name is resolved once per request. All its addresses are checked, and the request is sent to a checked address:
a second resolution could return another one (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence

import httpx

from bellcast.errors import Unavailable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# An IPv4 address inside an IPv6 one leads to the IPv4 address (RFC 6052; RFC 4291 §2.5.5; RFC 3056).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressGuard:
    """Checks URLs from the REST API and from recipients. `allowed` are host names, addresses and networks that may be used
    although they are not public, also over plain HTTP."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[IPNetwork] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    def problem(self, url: str) -> str | None:
        """Why a URL must be refused before any request, or None. Names are checked when they are resolved."""
        try:
            parts = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError):
            return "must be an https URL"
        if not parts.host or parts.scheme not in ("https", "http") or parts.userinfo:
            return "must be an https URL without credentials"
        if self._is_allowed_host(parts.host):
            return None
        literal = _address(parts.host)
        if literal is not None and not self._is_allowed(literal):
            return "must not lead to a private address (BELLCAST_HTTP_ALLOW makes exceptions)"
        if parts.scheme == "http" and (literal is None or _is_public(literal)):
            return "must be an https URL (BELLCAST_HTTP_ALLOW makes exceptions)"
        return None

    async def pin(self, request: httpx.Request) -> None:
        """IPAddress the request to the checked address of its host; Host header and TLS keep the name. Raises Unavailable."""
        host = request.url.host
        problem = self.problem(str(request.url))
        if problem is not None:
            raise Unavailable(f"The URL {problem}.")
        if self._is_allowed_host(host):
            return
        found = await asyncio.get_running_loop().getaddrinfo(host, request.url.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        self._check(host, addresses)
        request.extensions["sni_hostname"] = host
        request.url = request.url.copy_with(host=addresses[0])

    def _check(self, host: str, addresses: Sequence[str]) -> None:
        if not all(self._is_allowed(address) for text in addresses if (address := _address(text)) is not None):
            raise Unavailable(f"{host} leads to an address that is not public.")

    def _is_allowed_host(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._hosts

    def _is_allowed(self, address: IPAddress) -> bool:
        return _is_public(address) or any(address in network for network in self._networks)


def _address(host: str) -> IPAddress | None:
    """The address that a host literal means, also one written as a single number (`0x7f000001`, `127.1`)."""
    text = host.strip("[]").partition("%")[0]
    try:
        return _effective(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))  # the forms that getaddrinfo takes too
    except (OSError, ValueError):
        return None


def _effective(address: IPAddress) -> IPAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: IPAddress) -> bool:
    return address.is_global and not address.is_multicast
