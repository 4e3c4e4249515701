"""A WebSocket over TLS. On one thread: in websockets' blocking client, one thread reads the TLS connection while another
writes, which OpenSSL does not support, so a handshake is occasionally lost."""

import asyncio
import json
import ssl
from pathlib import Path

from websockets.asyncio.client import connect


def check_heartbeats(url: str, chain: Path, number: int, seconds: float) -> None:
    """Receive `ready` and the heartbeats of a silent connection, then the reply to a command. Each has `seconds`."""
    asyncio.run(_check_heartbeats(url, chain, number, seconds))


async def _check_heartbeats(url: str, chain: Path, number: int, seconds: float) -> None:
    trust = ssl.create_default_context(cafile=chain)
    async with connect(url, ssl=trust, open_timeout=seconds) as websocket:

        async def received() -> dict[str, object]:
            frame: dict[str, object] = json.loads(await asyncio.wait_for(websocket.recv(), seconds))
            return frame

        assert [(await received())["type"] for _ in range(1 + number)] == ["ready", *["heartbeat"] * number]
        await websocket.send('{"type":"ping","ref":1}')
        assert await received() == {"type": "pong", "ref": 1}
