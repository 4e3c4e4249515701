"""A server with a clock in the past, and clients that send requests to it."""

import asyncio
import base64
import random
import secrets
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

import httpx
from msgspec.structs import replace

from bellcast.auth import keys
from bellcast.auth.request import HTTP_PORT, LOCAL_COOKIE
from bellcast.client import Bellcast, Credentials
from bellcast.kernel.clock import SystemClock, TestClock
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs import END_OF_TIME
from bellcast.kernel.jobs.runner import TimeTravel
from bellcast.kernel.times import HOUR_MS
from bellcast.live_feed import ServedRequest
from bellcast.operators import factors
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.operators.store import Operators
from bellcast.operators.types import Operator, Role
from bellcast.server.app import IN_PROCESS_URL, App, create_app
from bellcast.settings import Settings

from . import history

T = TypeVar("T")
# A session's cookie is named after the port of the server, by default that of HTTP.
COOKIE = LOCAL_COOKIE + HTTP_PORT
ID_HEADER, ID_BITS = "x-request-id", 64


class PastServer:
    """A server in the past. Times are hours before now."""

    def __init__(self, settings: Settings) -> None:
        self._now = SystemClock().now()
        self._clock = TestClock(self._now - history.PERIOD_MS)
        self.app: App = create_app(settings, test_clock=self._clock)
        self._travel = cast("TimeTravel", self.app.time_travel)  # it has a test clock
        self._loop = asyncio.get_running_loop()
        self._next_due = END_OF_TIME
        self._times: dict[str, int] = {}
        self._operators: dict[str, Operator] = {}
        self._tokens: dict[str, str] = {}
        cipher = Encryption(self.app.project.secret.encode(), [])
        self._stored = Operators(self.app.db)
        self._sessions = ConsoleSessions(self._stored, self._clock, Ids().new, cipher)
        self.secret = self._client({"authorization": f"Bearer {self.app.project.secret}"})

    def at(self, hours: float) -> int:
        """Return the time in UTC milliseconds."""
        return self._now - round(hours * HOUR_MS)

    def now(self) -> int:
        """Return the time that it is on this server, in UTC milliseconds."""
        return self._clock.now()

    def move_to(self, hours: float) -> None:
        """Move the clock forwards. What becomes due until then is done at its time."""
        if self.at(hours) >= self._next_due:
            self._await(self._travel.advance(self.at(hours) - self._clock.now()))
            self._plan()
        self._clock.set(self.at(hours))

    def settle(self) -> None:
        """Wait for what the last requests started."""
        self._await(self._travel.jobs.settle())
        self._plan()

    def _plan(self) -> None:
        due = self._await(self._travel.jobs.next_due())
        self._next_due = END_OF_TIME if due is None else due

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def operator(self, name: str) -> Bellcast:
        """Return a client with the session of an operator."""
        return self._client({"cookie": f"{COOKIE}={self._tokens[name]}", "origin": IN_PROCESS_URL})

    def key(self, text: str) -> Bellcast:
        """Return a client with an API key."""
        return self._client({"authorization": f"Bearer {text}"})

    async def add_operator(self, name: str, role: Role, tenants: tuple[str, ...] | None) -> None:
        """Add an operator who cannot sign in: no password has this hash. Its session lasts as long as this server."""
        operator = await self._sessions.create(name, role, _hash_of_nothing(), tenants)
        self._operators[name], self._tokens[name] = operator, secrets.token_urlsafe()
        await self._start_session(name, SystemClock().now())

    async def set_up_second_factor(self, name: str) -> None:
        """Give an operator an authenticator app with a secret that is forgotten."""
        operator, now = self._operators[name], self._clock.now()
        secret = await self._sessions.second_factors.begin(operator)
        code = factors.code_of(secret, now // factors.PERIOD_MS)
        await self._sessions.second_factors.confirm(operator, code)

    async def leave(self, name: str, hours: float) -> None:
        """End the sessions of an operator, who was last here at this time."""
        await self._stored.end_sessions(self._operators[name].id)
        self._tokens[name] = secrets.token_urlsafe()
        await self._start_session(name, self.at(hours))

    async def _start_session(self, name: str, at: int) -> None:
        await self._stored.start_session(keys.digest(self._tokens[name]), self._operators[name].id, at, at)

    def requests(self) -> list[ServedRequest]:
        """Return the requests with their times, oldest first."""
        served = self.app.feed.requests(lambda _: True)
        return sorted((replace(one, at=self._times[one.id]) for one in served), key=_time_of)

    def _client(self, headers: Mapping[str, str]) -> Bellcast:
        project = self.app.project
        secret = f"Bearer {project.secret}"
        transport = _Transport(self.app.loop_transport, secret, headers, self._clock, self._times)
        return Bellcast(IN_PROCESS_URL, Credentials(project.secret, project.key), transport=transport)


class _Transport(httpx.BaseTransport):
    """Sends requests with other credentials than the client's, and records their times by their ids."""

    def __init__(
        self,
        transport: httpx.BaseTransport,
        secret: str,
        headers: Mapping[str, str],
        clock: TestClock,
        times: dict[str, int],
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._headers = headers
        self._clock = clock
        self._times = times

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        id = f"{random.getrandbits(ID_BITS):016x}"
        self._times[id] = self._clock.now()
        if request.headers.get("authorization", self._secret) == self._secret:  # not the token of a recipient
            request.headers.pop("authorization", None)
            request.headers.update(self._headers)
        request.headers[ID_HEADER] = id
        return self._transport.handle_request(request)


def _time_of(request: ServedRequest) -> int:
    return request.at


def _hash_of_nothing() -> str:
    """Return a random hash in the format of passwords. No password is known for it, and it takes no time."""
    salt, hashed = (_base64(secrets.token_bytes(size)) for size in (factors.SALT_BYTES, factors.HASH_BYTES))
    return f"$argon2id$v=19$m={factors.MEMORY_KIB},t={factors.ITERATIONS},p={factors.LANES}${salt}${hashed}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")
