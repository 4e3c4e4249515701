"""The two ways a plan reaches the server: blocking and awaiting. All I/O of the client is here."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from bellcast.client.exchange import Exchange, Lost, Outcome, Pause, Retries, Step
from bellcast.client.request import Answer, Plan, Request

T = TypeVar("T")

# Below the 5 s after which uvicorn closes idle connections, so that a request seldom meets a closing one.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
# The request never left: no connection could be had.
_UNDELIVERED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Blocking:
    """Sends and waits: `send` returns the result."""

    http: httpx.Client
    retries: Retries
    bearer: str = field(repr=False)

    def speaking_with(self, bearer: str) -> "Blocking":
        return replace(self, bearer=bearer)

    def send(self, plan: Plan[T]) -> T:
        exchange = Exchange(plan, self.retries)
        while exchange.step:
            exchange.tell(self._take(exchange.step))
        return exchange.result

    def _take(self, step: Step) -> Outcome | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)  # noqa: TID251 (outside the house there is no Clock port)
            return None
        try:
            return _answer(self.http.send(_sendable(self.http, step, self.bearer)))
        except httpx.TransportError as error:
            return _lost(error)


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Sends and lets others work meanwhile: `send` is awaited for the result."""

    http: httpx.AsyncClient
    retries: Retries
    bearer: str = field(repr=False)

    def speaking_with(self, bearer: str) -> "Awaiting":
        return replace(self, bearer=bearer)

    async def send(self, plan: Plan[T]) -> T:
        exchange = Exchange(plan, self.retries)
        while exchange.step:
            exchange.tell(await self._take(exchange.step))
        return exchange.result

    async def _take(self, step: Step) -> Outcome | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return _answer(await self.http.send(_sendable(self.http, step, self.bearer)))
        except httpx.TransportError as error:
            return _lost(error)


def connection(url: str, timeout: float) -> dict[str, Any]:
    """How either httpx client is made."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"a Bellcast server's address begins with http:// or https://, not {url!r}")
    return {"base_url": url, "timeout": timeout, "limits": _LIMITS, "headers": {"User-Agent": "bellcast-python"}}


def _sendable(http: httpx.Client | httpx.AsyncClient, request: Request[Any], bearer: str) -> httpx.Request:
    headers = {"Authorization": f"Bearer {bearer}", **request.headers}
    return http.build_request(
        request.method, request.path, params=request.params, headers=headers, content=request.content
    )


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content, response.headers)


def _lost(error: httpx.TransportError) -> Lost:
    return Lost(error, delivered=not isinstance(error, _UNDELIVERED))
