"""Calls of tools: limits per key, confirmations of writes, the request of the REST API, and the answer."""

import asyncio
import hashlib
import hmac
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from bellcast.agents import documentation, untrusted
from bellcast.agents.tools import BY_NAME, TOOLS, Tool, ToolRequest
from bellcast.documents.store import Documents
from bellcast.documents.types import CONFIRMATIONS, PROJECT
from bellcast.kernel import base64url, data_schemas
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError, Conflict, FieldError, Invalid, NotFound, TooMany, Unavailable
from bellcast.kernel.identities import Caller, Project

if TYPE_CHECKING:
    import httpx

CONFIRM_MS = 300_000
CONFIRM_PREFIX = "c_"
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
# Maximum calls of a key at once, and writes in an hour: more are a loop.
MAX_CONCURRENT = 4
WRITES_PER_HOUR = 20
# A call of a tool reads what a person waits for.
CALL_SECONDS = 10.0
# Maximum keys whose calls are counted.
MAX_KEYS = 1_000
DEFAULT_LIMIT = 20


class Answer(Struct, frozen=True):
    """The answer to a call: its text, and the code of the error (`ok` without one)."""

    text: str
    outcome: str = "ok"


class CallLimits:
    """Counts the calls and the writes of each key on this node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: dict[tuple[str, int], deque[int]] = {}
        self._running: Counter[str] = Counter()

    def take(self, key: str, most: int, period: int) -> None:
        """Count a call. Raises TooMany after `most` calls within a period of milliseconds; 0 is no limit."""
        now = self._clock.now()
        if len(self._taken) >= MAX_KEYS:
            self._taken = {name: times for name, times in self._taken.items() if times and times[-1] > now - HOUR_MS}
        times = self._taken.setdefault((key, period), deque())
        while times and times[0] <= now - period:
            times.popleft()
        if most and len(times) >= most:
            wait = (times[0] + period - now + 999) // 1000
            raise TooMany(f"This key may make {most} such calls in {period // 1000} s.", retry_after=wait)
        times.append(now)

    @contextmanager
    def running(self, key: str) -> Iterator[None]:
        """Count a call while it runs. Raises TooMany above MAX_CONCURRENT."""
        if self._running[key] >= MAX_CONCURRENT:
            raise TooMany(f"This key may make {MAX_CONCURRENT} calls at once.", retry_after=1)
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]


class Agents:
    """Performs the calls of agents as requests to this server with the agent's own key, so that they have its rights."""

    def __init__(
        self,
        transport: "Callable[[], httpx.AsyncBaseTransport]",
        db: Engine,
        clock: Clock,
        project: Project,
        calls_per_minute: Callable[[], int],
    ) -> None:
        self._transport = transport
        self._db = db
        self._clock = clock
        self._project = project
        self._calls_per_minute = calls_per_minute
        self.limits = CallLimits(clock)

    def tools(self, caller: Caller) -> list[Tool]:
        """Return the tools that the scopes of a caller permit."""
        return [tool for tool in TOOLS if tool.scope in caller.scopes]

    def admit(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> None:
        """Count a call. Raises TooMany."""
        key, tool = caller.key or "", BY_NAME.get(name)
        self.limits.take(key, self._calls_per_minute(), MINUTE_MS)
        if tool is not None and tool.preview is not None and "confirm" in arguments:
            self.limits.take(key, WRITES_PER_HOUR, HOUR_MS)

    async def call(self, caller: Caller, authorization: str, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool, and return its answer or the error."""
        try:
            tool = next((one for one in self.tools(caller) if one.name == name), None)
            if tool is None:
                raise NotFound("There is no such tool, or this key lacks its scope.")
            if errors := list(data_schemas.errors_of("arguments", dict(arguments), tool.schema)):
                raise Invalid.fields(errors)
            with self.limits.running(caller.key or ""):
                async with asyncio.timeout(CALL_SECONDS):
                    return Answer(await self._answer(tool, caller, authorization, dict(arguments)))
        except TimeoutError:
            refusal: BellcastError = Unavailable(f"The call took more than {CALL_SECONDS:.0f} s: ask for less.")
        except BellcastError as failure:
            refusal = failure
        shown = {"code": refusal.code, "status": refusal.status, "detail": untrusted.clean(refusal.detail)}
        wrong = [{"field": one.field, "message": untrusted.clean(one.message)} for one in refusal.errors]
        return Answer(_encode(shown | ({"errors": wrong} if wrong else {})), refusal.code)

    async def _answer(self, tool: Tool, caller: Caller, authorization: str, arguments: dict[str, Any]) -> str:
        if tool.request is None:
            return _encode(documentation.search(arguments["text"], arguments.get("after", "0")))
        if tool.preview is not None:
            return await self._write(tool, tool.preview, tool.request, caller, authorization, arguments)
        limit, after = arguments.get("limit", DEFAULT_LIMIT), str(arguments.get("after", ""))
        if "limit" not in tool.parameters:
            arguments.pop("after", None)
        while True:
            found = await self._json(authorization, tool.request(arguments))
            text, is_list = _encode(untrusted.marked(found)), isinstance(found, dict) and "next" in found
            if len(text.encode()) <= untrusted.MAX_ANSWER and (is_list or not after.isdigit()):
                return text
            if not is_list or limit == 1:
                return _part(text, int(after) if after.isdigit() else 0)
            limit = max(1, limit // 4)
            arguments = {**arguments, "limit": limit}

    async def _write(
        self,
        tool: Tool,
        preview: Callable[[Mapping[str, Any]], ToolRequest],
        request: Callable[[Mapping[str, Any]], ToolRequest],
        caller: Caller,
        authorization: str,
        arguments: dict[str, Any],
    ) -> str:
        """Return what a write would do and its confirmation; with a valid one, do it."""
        confirm = arguments.pop("confirm", None)
        would = await self._json(authorization, preview(arguments))
        if confirm is None:
            end = self._clock.now() + CONFIRM_MS
            text = self._confirmation(tool, caller, arguments, would, end, secrets.token_bytes(8))
            return _encode({"would": untrusted.marked(would), "confirm": text})
        packed = b""
        with suppress(ValueError):
            packed = base64url.decode(confirm.removeprefix(CONFIRM_PREFIX))
        end = int.from_bytes(packed[:6])
        expected = self._confirmation(tool, caller, arguments, would, end, packed[6:14])
        now = self._clock.now()
        if not hmac.compare_digest(expected.encode(), confirm.encode()) or now > end:
            raise Conflict(
                "This confirmation has expired, or what would happen has changed: call without `confirm` again."
            )
        name = hashlib.sha256(confirm.encode()).hexdigest()
        if not await Documents(self._db).change(CONFIRMATIONS, PROJECT, name, None, b"{}", now):
            raise Conflict("This confirmation was used: call without `confirm` again.")
        return _encode({"done": untrusted.marked(await self._json(authorization, request(arguments)))})

    def _confirmation(
        self, tool: Tool, caller: Caller, arguments: Mapping[str, Any], would: Any, end: int, nonce: bytes
    ) -> str:
        head = end.to_bytes(6) + nonce
        signed = msgspec.json.encode([tool.name, arguments, caller.key, would], order="deterministic")
        mac = hmac.digest(self._project.secret.encode(), b"agent confirmation\n" + head + signed, "sha256")
        return CONFIRM_PREFIX + base64url.encode(head + mac[:16])

    async def _json(self, authorization: str, wanted: ToolRequest) -> Any:
        """Return the response of a request. Raises its error."""
        import httpx  # at the first call: it takes 4 MB

        headers = {"authorization": authorization, "accept": "application/json"}
        query = {name: one for name, one in wanted.query.items() if one is not None}
        async with httpx.AsyncClient(transport=self._transport(), base_url="http://agents.internal") as client:
            response = await client.request(
                wanted.method, wanted.path, params=query, json=wanted.body, headers=headers, timeout=CALL_SECONDS
            )
        value = response.json() if response.content else {}
        if response.is_success:
            return value
        raise _error(response.status_code, value)


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _part(text: str, offset: int) -> str:
    """Return a part of an object's JSON that fits into an answer. Its escapes make it longer, at most six times."""
    size = untrusted.MAX_ANSWER
    while True:
        part = {"part": text[offset : offset + size], "next": str(offset + size) if offset + size < len(text) else None}
        if len(encoded := _encode(part)) <= untrusted.MAX_ANSWER and len(encoded.encode()) <= untrusted.MAX_ANSWER:
            return encoded
        size = size * 3 // 4


class ToolError(BellcastError):
    """A request of a tool was refused."""


def _error(status: int, problem: Any) -> BellcastError:
    """Return the error of a problem document."""
    found = problem if isinstance(problem, dict) else {}
    error = ToolError(str(found.get("detail") or found.get("title") or "The request was refused."))
    error.code, error.status = str(found.get("code", "internal")), status  # type: ignore[misc]  # other errors have those of their class; this one has those of the response
    error.errors = tuple(FieldError(one["field"], one["message"]) for one in found.get("errors", ()))
    return error
