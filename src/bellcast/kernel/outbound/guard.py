"""Restrict requests to user-supplied URLs: to public addresses over TLS, and to addresses that the operator allows.

The guard opens connections itself. It resolves the name, checks all its addresses, and connects to one of them, because
a second resolution could return another address (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bellcast.kernel import concurrency
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.ip_addresses import IPAddress, is_server

if TYPE_CHECKING:  # imported with the first URL
    import httpx

# Maximum names resolved at a time, more than the calls of jobs (jobs.slots.CALLS): only names whose lookups hang reach
# it. Each has a thread until the system's resolver gives up, by default after 10 s per name server; nothing can end it.
MAX_LOOKUPS = 200
# Characters of a wrong name in an error.
MAX_SHOWN = 100


class Resolver:
    """Resolves names, and connects to their addresses. Each name is resolved in a thread of its own: those of users separately from
    those of the operator. Concurrent requests for a name share its lookup. The event loop's resolver uses a few threads (uvloop:
    two), so a name server that does not respond would delay lookups of the store or the broker, and the end of the process."""

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, in the order of the system's resolver. A call does not wait for lookups of
        other names. Raises OSError, or Unavailable if too many names are being resolved. When a call is cancelled, its
        lookup continues for later calls."""
        try:
            return _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
        except UnicodeError:  # of the encoding: a part is empty or has more than 63 characters
            raise OSError(f"{host[:MAX_SHOWN]} is not a host name") from None
        except socket.gaierror:
            pass  # a name
        lookup = self._lookups.get(host)
        if lookup is None:
            if len(self._lookups) >= MAX_LOOKUPS:
                raise Unavailable("Too many host names are being resolved: try again later.")
            lookup = self._lookups[host] = concurrency.start_thread(
                "resolver", lambda: _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
            )

            def finish(ended: asyncio.Future[list[str]]) -> None:
                del self._lookups[host]
                ended.exception()  # avoids a warning if all requests have timed out and nothing reads the result

            lookup.add_done_callback(finish)
        return await asyncio.shield(lookup)

    async def connect(self, host: str, port: int) -> socket.socket:
        """Open a TCP connection to the first address of a host that accepts one. Raises Unavailable or OSError."""
        failure = OSError(f"{host} has no address")
        for address in await self.addresses(host):
            connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            connection.settimeout(0)  # non-blocking: the event loop waits instead
            try:
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure


def _addresses(entries: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# An IPv4 address inside an IPv6 one leads to the IPv4 address (RFC 6052; RFC 4291 §2.5.5; RFC 3056).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# The rest of IPv6 is not allocated for public addresses. It includes fec0::/10, ::/96, 64:ff9b:1::/48 and 5f00::/16,
# which only some versions of Python list.
PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
# Special-purpose ranges (IANA's registries of RFC 6890), for all versions of Python. The few public services in
# 192.0.0.0/24 and 2001::/23 are relays, not endpoints.
SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


class AddressGuard(Resolver):
    """Checks URLs from the REST API and from recipients, and the addresses of their hosts. `allowed` are host names, addresses and
    networks that may be used although they are not public, even over plain HTTP."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        super().__init__()
        self._hosts: set[str] = set()
        self._networks: list[IPNetwork] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    def problem(self, url: str) -> str | None:
        """Return why a URL must be refused before any request, or None. Names are checked when they are resolved."""
        import httpx

        try:
            host = (parts := httpx.URL(url)).host
        except (httpx.InvalidURL, UnicodeError):
            return "must be an https URL"
        if not host or parts.scheme not in ("https", "http") or parts.userinfo:
            return "must be an https URL without credentials"
        if " " in url or not is_server(parts.netloc.decode()):
            return "must have a host name such as app.example.com, a port of 1 to 65535 or none, and no spaces"
        if (problem := self.host_problem(host)) is not None:
            return problem
        if parts.scheme == "http" and not self._is_allowed_host(host):
            literal = _address(host)
            # A name may resolve to an allowed address.
            if not (self._networks if literal is None else self._in_networks(literal)):
                return f"must be an https URL{self._exception(literal or host)}"
        return None

    def host_problem(self, host: str) -> str | None:
        """Return why a host must be refused before any connection, or None. Names are checked when they are
        resolved."""
        literal = None if self._is_allowed_host(host) else _address(host)
        if literal is not None and not self._is_allowed(literal):
            return f"must not lead to a private address{self._exception(literal, literal)}"
        return None

    def _exception(self, entry: str | IPAddress, *refused: IPAddress) -> str:
        """Return how to allow a host, as the end of a sentence. It is empty if an address is link-local: clouds serve the
        credentials of a machine at 169.254.169.254."""
        if any(address.is_link_local for address in refused):
            return ""
        is_set = self._hosts or self._networks
        setting = f"add {entry} to BELLCAST_HTTP_ALLOW" if is_set else f"set BELLCAST_HTTP_ALLOW={entry}"
        return f"; for this host, {setting} in the server's environment, then restart"

    async def check(self, url: "httpx.URL") -> None:
        """Check a URL before its request. Raises Unavailable. Only names in plain HTTP URLs are resolved here, because
        plain HTTP is limited to addresses that the operator allows."""
        problem = self.problem(str(url))
        if problem is not None:
            raise Unavailable(f"The URL {problem}.")
        if url.scheme == "http" and not self._is_allowed_host(url.host):
            addresses = await super().addresses(url.host)
            if not all(self._in_networks(address) for text in addresses if (address := _address(text)) is not None):
                raise Unavailable(f"{url.host} leads to an address that allows TLS only.")

    async def addresses(self, host: str) -> Sequence[str]:
        """Resolve a host to addresses that may be connected to. Raises Unavailable if one is refused or too many names are
        being resolved, OSError if there are none."""
        addresses = await super().addresses(host)
        if self._is_allowed_host(host):
            return addresses
        parsed = [address for text in addresses if (address := _address(text)) is not None]
        if refused := [address for address in parsed if not self._is_allowed(address)]:
            raise Unavailable(f"{host} leads to an address that is not public{self._exception(host, *refused)}.")
        return addresses

    def _in_networks(self, address: IPAddress) -> bool:
        return any(address in network for network in self._networks)

    def _is_allowed_host(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._hosts

    def _is_allowed(self, address: IPAddress) -> bool:
        is_allocated = address.version == 4 or address in PUBLIC_V6
        is_special = any(address in network for network in SPECIAL)
        return (is_allocated and address.is_global and not is_special) or self._in_networks(address)


def _address(host: str) -> IPAddress | None:
    """Parse an address in a URL, including legacy forms (`0x7f000001`, `127.1`). An IPv6 address that leads to an IPv4 address
    is that one."""
    text = host.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(text))  # the forms that getaddrinfo also accepts
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
