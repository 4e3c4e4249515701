"""Socket.IO over a plain WebSocket, so that tests see every packet and its order."""

import json
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import ServerProcess

WAIT = 60  # seconds; a response takes milliseconds unless something is broken
Event = tuple[str, list[Any]]


class Raw:
    """A client in `/`. `before` and `after` are the events around the reply to its CONNECT."""

    def __init__(self, server: ServerProcess, auth: dict[str, Any], *, keep_open: bool) -> None:
        self._open = ExitStack()
        url = server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        self._socket = self._open.enter_context(connect(url))
        self.opened = json.loads(self._recv()[1:])
        self._socket.send("40" + json.dumps(auth))
        self.before: list[Event] = []
        while not (packet := self._recv()).startswith("40"):
            self.before.append(event(packet))
        reply = json.loads(packet[2:])
        self.sid, self.pid = reply["sid"], reply.get("pid")
        self._socket.send('420["ping"]')  # its ack follows everything that CONNECT caused
        self.after: list[Event] = []
        while not (packet := self._recv()).startswith("430"):
            self.after.append(event(packet))
        self.after = [found for found in self.after if found[0] != "pong"]
        if not keep_open:
            self.close()

    def _recv(self) -> str:
        packet = self._socket.recv(timeout=WAIT)
        assert isinstance(packet, str)
        return packet

    def ask(self, name: str, *args: Any) -> list[Event]:
        """Emit, and wait for the ack; return the events before it."""
        self._socket.send("427" + json.dumps([name, *args]))
        events: list[Event] = []
        while not (packet := self._recv()).startswith("437"):
            if packet.startswith("42"):  # not a ping
                events.append(event(packet))
        return events

    def next(self) -> Event:
        return event(self._recv())

    def closed(self) -> bool:
        """Return True if the server closes the connection now."""
        try:
            self._recv()
        except ConnectionClosed:
            return True
        return False

    def close(self) -> None:
        self._open.close()


def event(packet: str) -> Event:
    """Return the name and the arguments of an EVENT."""
    assert packet.startswith("42"), packet
    name, *args = json.loads(packet[2:])
    return name, args
