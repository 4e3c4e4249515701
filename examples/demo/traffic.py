"""The load of `bellcast demo --busy`: connections of four dialects, and sends to them."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import httpx

from bellcast.client import Bellcast

CONNECTIONS = 200
# One send a second continues 100,000 notifications of the last 30 days.
SENDS_PER_ROW, FEWEST_SENDS, SENDS_PER_SECOND = 1 / 100_000, 0.05, 20
CONTENTS = (
    ("booking.created", "New booking"),
    ("booking.moved", "Booking moved"),
    ("comment", "New comment"),
    ("review", "New review"),
)
READERS = 0.5
# Pause between new connections, so that the newest in a list are of all dialects.
ARRIVAL_S = 0.02
# Delay before a closed connection is reopened.
RETRY_S = 2.0
STOP_TIMEOUT_S = 5


def rate(rows: int) -> float:
    """Return the sends per second that continue this number of notifications."""
    return min(max(rows * SENDS_PER_ROW, FEWEST_SENDS), SENDS_PER_SECOND)


class Traffic:
    """Runs in a thread between `start` and `stop`. `keys` are the recipients of `tenant`."""

    def __init__(
        self,
        url: str,
        secret: str,
        pusher_key: str,
        tenant: str,
        keys: Sequence[str],
        *,
        connections: int = CONNECTIONS,
        sends_per_second: float = SENDS_PER_SECOND,
    ) -> None:
        self._url = url
        self._secret = secret
        self._pusher_key = pusher_key
        self._tenant = tenant
        self._keys = [keys[number % len(keys)] for number in range(connections)]
        self._pause = 1 / sends_per_second
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="busy traffic", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the connections within STOP_TIMEOUT_S."""
        with suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._all())
        self._loop.close()

    async def _all(self) -> None:
        dialects = (self._event_stream, self._websocket, self._socketio, self._pusher)
        with Bellcast(self._url, self._secret) as client:
            tokens = [str(client.token(key, topics=["*"], tenant=self._tenant, ttl="12h")) for key in self._keys]
        limits = httpx.Limits(max_connections=None)
        headers = {"authorization": f"Bearer {self._secret}"}
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=None) as http:
            self._tasks = [asyncio.create_task(self._send(http, headers, tokens))]
            for number, token in enumerate(tokens):
                connect = self._repeated(dialects[number % len(dialects)], http, token)
                self._tasks.append(asyncio.create_task(connect))
                await asyncio.sleep(ARRIVAL_S)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, http: httpx.AsyncClient, headers: dict[str, str], tokens: Sequence[str]) -> None:
        """Send to one recipient after another, of whom READERS read their inbox."""
        chosen = random.Random(0)
        while True:
            type, title = chosen.choice(CONTENTS)
            # For the bell only: as many e-mails and push messages would be most of the server's work.
            key, token = chosen.choice(list(zip(self._keys, tokens, strict=True)))
            draft = {"to": key, "title": title, "type": type, "channels": ["inbox"]}
            with suppress(httpx.HTTPError):
                await http.post(f"/v1/notifications?tenant={self._tenant}", headers=headers, json=draft)
                if chosen.random() < READERS:
                    reader = {"authorization": f"Bearer {token}"}
                    await http.post("/v1/inbox/read", headers=reader, json={"all": True})
            await asyncio.sleep(self._pause)

    async def _repeated(
        self,
        connect: Callable[[httpx.AsyncClient, str], Coroutine[Any, Any, None]],
        http: httpx.AsyncClient,
        token: str,
    ) -> None:
        from websockets.exceptions import WebSocketException

        while True:
            with suppress(httpx.HTTPError, WebSocketException, OSError, TimeoutError):
                await connect(http, token)
            await asyncio.sleep(RETRY_S)

    async def _event_stream(self, http: httpx.AsyncClient, token: str) -> None:
        async with http.stream("GET", "/v1/stream", params={"token": token, "topics": "presence-lobby"}) as response:
            async for _ in response.aiter_raw():
                pass

    async def _websocket(self, http: httpx.AsyncClient, token: str) -> None:
        await self._follow(f"/v1/ws?token={token}&topics=presence-lobby", lambda frame: None)

    async def _socketio(self, http: httpx.AsyncClient, token: str) -> None:
        def reply(frame: str) -> str | None:
            if frame.startswith("0"):
                return f"40{json.dumps({'token': token})}"
            return "3" if frame == "2" else None

        await self._follow("/socket.io/?EIO=4&transport=websocket", reply)

    async def _pusher(self, http: httpx.AsyncClient, token: str) -> None:
        def reply(frame: str) -> str | None:
            is_ping = json.loads(frame)["event"] == "pusher:ping"
            return json.dumps({"event": "pusher:pong", "data": {}}) if is_ping else None

        await self._follow(f"/app/{self._pusher_key}?protocol=7&client=demo&version=1", reply)

    async def _follow(self, path: str, reply: Callable[[str], str | None]) -> None:
        from websockets.asyncio.client import connect

        async with connect(f"{self._url.replace('http', 'ws', 1)}{path}", max_queue=None) as connection:
            async for frame in connection:
                response = reply(str(frame))
                if response is not None:
                    await connection.send(response)
