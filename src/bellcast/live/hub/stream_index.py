"""Index of this process's connections by id, stream and address."""

from collections.abc import Callable, Iterable

from bellcast.kernel.events import SEPARATOR, Stream
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.live.connection.connection import Connection

ADDRESS = "address" + SEPARATOR + SEPARATOR


def address_stream(address: str) -> Stream:
    """Return the stream on which nodes share the number of connections of a limited client address."""
    return Stream(ADDRESS + address)


class StreamIndex:
    """A data structure without side effects; the hub reports its changes."""

    def __init__(self) -> None:
        self.by_id: dict[str, Connection] = {}
        self.by_stream: dict[Stream, set[Connection]] = {}
        self._by_address: dict[str, int] = {}

    def add(self, connection: Connection) -> None:
        self.by_id[connection.id] = connection
        if connection.address is not None:
            self._by_address[connection.address] = self._by_address.get(connection.address, 0) + 1

    def remove(self, connection: Connection) -> bool:
        """Unregister a connection; False if it is not registered. It still follows its streams."""
        if self.by_id.get(connection.id) is not connection:  # a recovered connection may have taken over the id
            return False
        del self.by_id[connection.id]
        if connection.address is not None:
            left = self._by_address[connection.address] - 1
            if left:
                self._by_address[connection.address] = left
            else:
                del self._by_address[connection.address]
        return True

    def follow(self, connection: Connection, stream: Stream) -> int:
        """Add a follower and return the new count; 0 if the connection already follows the stream."""
        followers = self.by_stream.get(stream)
        if followers is None:
            self.by_stream[stream] = {connection}
            return 1
        if connection in followers:
            return 0
        followers.add(connection)
        return len(followers)

    def unfollow(self, connection: Connection, stream: Stream) -> int | None:
        """Remove a follower and return the new count; None if the connection does not follow the stream."""
        followers = self.by_stream.get(stream)
        if followers is None or connection not in followers:
            return None
        followers.discard(connection)
        if not followers:
            del self.by_stream[stream]
        return len(followers)

    def count(self, stream: Stream) -> int:
        """Return the followers of a stream or, for that of an address, its connections."""
        if stream.startswith(ADDRESS):
            return self._by_address.get(stream.removeprefix(ADDRESS), 0)
        return len(self.by_stream.get(stream, ()))

    def streams(self) -> set[Stream]:
        """Return what `count` knows: the followed streams, and those of addresses."""
        return {*self.by_stream, *(address_stream(address) for address in self._by_address)}

    def recipients(self, tenant: str, recipients_of: Callable[[str], Iterable[str]]) -> list[tuple[str, list[str]]]:
        """Return the recipients with followed inboxes, by tenant (`*`: all tenants). `recipients_of` returns the
        recipients of inboxes that a topic carries."""
        found: dict[str, set[str]] = {}
        for stream in self.by_stream:
            kind, owner, name = stream.split(SEPARATOR, 2)
            if tenant in (EVERY_TENANT, owner):
                found.setdefault(owner, set()).update((name,) if kind == "inbox" else recipients_of(name))
        return [(owner, sorted(keys)) for owner, keys in sorted(found.items()) if keys]
