"""Connections that receive no stored events at present: they read them from the history, or may have missed some."""

from collections.abc import Iterable

from bellcast.kernel.events import Stream
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.stream_index import StreamIndex


class HistoryHolds:
    """Holds back the stored events, and the event ids of inbox changes, of connections."""

    def __init__(self, index: StreamIndex) -> None:
        self.connections: set[Connection] = set()
        self._streams = index.by_stream
        self._incomplete: set[Connection] = set()  # connections that may have missed stored events, and will be closed

    def hold(self, connection: Connection) -> None:
        """Do not send stored events to the connection while it replays them from the history."""
        self.connections.add(connection)

    def release(self, connection: Connection) -> None:
        if connection not in self._incomplete:
            self.connections.discard(connection)

    def hold_unread(self, connection: Connection) -> None:
        """Send no stored events and no event ids to a connection for which the history could not be read, until
        `hold_followers` returns it. Connections whose dialect cannot resume are excluded."""
        if connection.dialect.can_resume and connection.phase is not Phase.CLOSED:
            self.connections.add(connection)
            self._incomplete.add(connection)

    def hold_followers(self, streams: Iterable[Stream]) -> list[Connection]:
        """Stop sending stored events and event ids to the followers of streams until they are closed. Return these followers
        and those of `hold_unread`. Connections whose dialect cannot resume are excluded."""
        found = {one: None for stream in streams for one in self._streams.get(stream, ())}
        found |= dict.fromkeys(self._incomplete)
        followers = [one for one in found if one.dialect.can_resume]
        self.connections.update(followers)
        self._incomplete.update(followers)
        return followers

    def remove(self, connection: Connection) -> None:
        """Forget a disconnected connection."""
        self.connections.discard(connection)
        self._incomplete.discard(connection)
