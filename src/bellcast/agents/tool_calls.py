"""Calls of tools: limits per key, confirmations of writes, the request of the REST API, and the answer."""

import asyncio
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from bellcast.agents import documentation
from bellcast.agents.tools import BY_NAME, TOOLS, Tool, ToolRequest
from bellcast.documents.store import Documents
from bellcast.documents.types import CONFIRMATIONS, PROJECT
from bellcast.kernel import base64url, data_schemas
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError, Conflict, FieldError, Invalid, NotFound, TooMany, Unavailable
from bellcast.kernel.identities import Caller, Project
from bellcast.kernel.times import HOUR_MS, MINUTE_MS
from bellcast.live_feed import redact
from bellcast.templates.masking import masked_text

if TYPE_CHECKING:
    import httpx

# Maximum bytes of a text: enough to recognize a message.
MAX_TEXT = 2_048
# Maximum bytes of an answer. An agent reads all of it.
MAX_ANSWER = 65_536
# Fields whose values the server chooses: ids, states, codes and times. Others contain text of apps, recipients or providers.
OWN_FIELDS = frozenset(
    {
        *("id", "notification", "run", "trigger", "message", "announcement", "request_id", "replay", "connection"),
        *("state", "outcome", "rule", "verdict", "channel", "code", "severity", "kind", "protocol", "transport", "by"),
        *("result", "event", "source", "check", "method", "status", "base", "priority"),
        *("data_check", "decided_by", "metrics", "step_state", "unless"),
    }
)
CURSORS = frozenset({"next", "scanned_until"})
# Positions in lists, which the agent sends back as they are.
CURSOR = re.compile(r"[!-~]{1,500}")
OWN_VALUE = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Fields with objects of the app, whose names are the app's too.
APP_OBJECTS = frozenset({"data", "actor", "values", "variables", "sample", "merged", "headers", "body", "query"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
SECRET = re.compile(r"password|secret|token|otp|card|authorization|cookie|credential|api_?key", re.IGNORECASE)
# Categories that are not shown: control, format (bidirectional, zero width, tags), surrogates, private, unassigned.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Variation selectors can carry hidden text.
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def clean(text: str) -> str:
    """Return a text without addresses, phone numbers and characters that are not shown, of at most MAX_TEXT bytes."""
    visible = "".join(
        one for one in SELECTORS.sub("", text[: 2 * MAX_TEXT]) if one == "\n" or unicodedata.category(one) not in HIDDEN
    )
    return masked_text(visible).encode()[:MAX_TEXT].decode(errors="ignore")


def mark(text: str) -> dict[str, Any]:
    """Return a text of an app, a recipient or a provider, marked as data that is no instruction."""
    return {"untrusted": True, "text": clean(text)}


def marked(value: Any, field: str = "") -> Any:
    """Return a response of the API with marked texts. Values of secrets are hidden."""
    if isinstance(value, str):
        is_own = (
            (field in CURSORS and CURSOR.fullmatch(value))
            or TIME.fullmatch(value)
            or ID.fullmatch(value)
            or (field in OWN_FIELDS and OWN_VALUE.fullmatch(value))
        )
        return value if is_own else mark(value)
    if isinstance(value, list):
        return [marked(one, field) for one in value]
    if not isinstance(value, Mapping):
        return value
    if field in APP_OBJECTS or not all(NAME.fullmatch(name) for name in value):
        return mark(msgspec.json.encode(redact(value)).decode())
    return {name: "[redacted]" if SECRET.search(name) and one else marked(one, name) for name, one in value.items()}


CONFIRM_MS = 300_000
CONFIRM_PREFIX = "c_"
# Maximum calls of a key at once, and writes in an hour: more are a loop.
MAX_CONCURRENT = 4
WRITES_PER_HOUR = 20
# A call of a tool reads what a person waits for.
CALL_SECONDS = 10.0
# Maximum keys whose calls are counted.
MAX_KEYS = 1_000
DEFAULT_LIMIT = 20


class Agents(Struct, eq=False):
    """Performs the calls of agents as requests to this server with the agent's own key, so that they have its rights. Counts
    the calls and the writes of each key on this node."""

    transport: "Callable[[], httpx.AsyncBaseTransport]"
    db: Engine
    clock: Clock
    project: Project
    calls_per_minute: Callable[[], int]
    _taken: dict[tuple[str, int], deque[int]] = {}
    _running: Counter[str] = field(default_factory=Counter)

    def tools(self, caller: Caller) -> list[Tool]:
        """Return the tools that the scopes of a caller permit."""
        return [tool for tool in TOOLS if tool.scope in caller.scopes]

    def admit(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> None:
        """Count a call. Raises TooMany."""
        key, tool = caller.key or "", BY_NAME.get(name)
        self._take(key, self.calls_per_minute(), MINUTE_MS)
        if tool is not None and tool.preview is not None and "confirm" in arguments:
            self._take(key, WRITES_PER_HOUR, HOUR_MS)

    def _take(self, key: str, most: int, period: int) -> None:
        """Count a call. Raises TooMany after `most` calls within a period of milliseconds; 0 is no limit."""
        now = self.clock.now()
        if len(self._taken) >= MAX_KEYS:
            self._taken = {name: times for name, times in self._taken.items() if times and times[-1] > now - HOUR_MS}
        times = self._taken.setdefault((key, period), deque())
        while times and not now - period < times[0] <= now:  # later: the clock was set back
            times.popleft()
        if most and len(times) >= most:
            wait = (times[0] + period - now + 999) // 1000
            raise TooMany(f"This key may make {most} such calls in {period // 1000} s.", retry_after=wait)
        times.append(now)

    async def call(
        self, caller: Caller, authorization: str, name: str, arguments: Mapping[str, Any]
    ) -> tuple[str, str]:
        """Call a tool; return the text of its answer or of the error, and the code of the error (`ok` without one)."""
        try:
            tool = next((one for one in self.tools(caller) if one.name == name), None)
            if tool is None:
                raise NotFound("There is no such tool, or this key lacks its scope.")
            if unfit := list(data_schemas.errors_of("arguments", dict(arguments), tool.schema)):
                raise Invalid.fields([one._replace(field=one.field.removeprefix("arguments.")) for one in unfit])
            key = caller.key or ""
            if self._running[key] >= MAX_CONCURRENT:
                raise TooMany(f"This key may make {MAX_CONCURRENT} calls at once.", retry_after=1)
            self._running[key] += 1
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    return await self._answer(tool, caller, authorization, dict(arguments)), "ok"
            finally:
                self._running[key] -= 1
                self._running += Counter()  # drops keys without calls
        except TimeoutError:
            refusal: BellcastError = Unavailable(f"The call took more than {CALL_SECONDS:.0f} s: ask for less.")
        except BellcastError as failure:
            refusal = failure
        shown = {"code": refusal.code, "status": refusal.status, "detail": clean(refusal.detail)}
        wrong = [{"field": one.field, "message": clean(one.message)} for one in refusal.errors]
        return _encode(shown | ({"errors": wrong} if wrong else {})), refusal.code

    async def _answer(self, tool: Tool, caller: Caller, authorization: str, arguments: dict[str, Any]) -> str:
        if tool.request is None:
            return _encode(documentation.search(arguments["text"], arguments.get("after", "0")))
        if tool.preview is not None:
            return await self._write(tool, tool.preview, tool.request, caller, authorization, arguments)
        limit, after = arguments.get("limit", DEFAULT_LIMIT), str(arguments.get("after", ""))
        if "limit" not in tool.parameters:
            arguments.pop("after", None)
        while True:
            found, _ = await self._exchange(authorization, tool.request(arguments))
            text, is_list = _encode(marked(found)), isinstance(found, dict) and "next" in found
            if len(text.encode()) <= MAX_ANSWER and (is_list or not after.isdecimal()):
                return text
            if not is_list or limit == 1:
                # A part of the object's JSON that fits into an answer. Its escapes make it longer, at most six times.
                offset = int(after) if after.isdecimal() else 0
                size = MAX_ANSWER
                while True:
                    part = {
                        "part": text[offset : offset + size],
                        "next": str(offset + size) if offset + size < len(text) else None,
                    }
                    if len(encoded := _encode(part)) <= MAX_ANSWER and len(encoded.encode()) <= MAX_ANSWER:
                        return encoded
                    size = size * 3 // 4
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
        (would, _), condition = await self._exchange(authorization, preview(arguments)), dict[str, str]()
        if tool.replaced is not None:
            try:
                found, tag = await self._exchange(authorization, tool.replaced(arguments))
            except ToolError as missing:
                if missing.status != NotFound.status:
                    raise
                would["replaces"], condition = None, {"if-none-match": "*"}
            else:  # who saved what the write replaces, and when
                would["replaces"] = {name: found[name] for name in ("by", "updated_at")}
                condition = {"if-match": tag}
        if confirm is None:
            end = self.clock.now() + CONFIRM_MS
            text = self._confirmation(tool, caller, arguments, would, end, secrets.token_bytes(8))
            return _encode({"would": marked(would), "confirm": text})
        packed = b""
        with suppress(ValueError):
            packed = base64url.decode(confirm.removeprefix(CONFIRM_PREFIX))
        end = int.from_bytes(packed[:6])
        expected = self._confirmation(tool, caller, arguments, would, end, packed[6:14])
        now = self.clock.now()
        if not hmac.compare_digest(expected.encode(), confirm.encode()) or now > end:
            raise Conflict(
                "This confirmation has expired, or what would happen has changed: call without `confirm` again."
            )
        name = hashlib.sha256(confirm.encode()).hexdigest()
        if not await Documents(self.db).change(CONFIRMATIONS, PROJECT, name, None, b"{}", now):
            raise Conflict("This confirmation was used: call without `confirm` again.")
        done, _ = await self._exchange(authorization, request(arguments), condition)
        return _encode({"done": marked(done)})

    def _confirmation(
        self, tool: Tool, caller: Caller, arguments: Mapping[str, Any], would: Any, end: int, nonce: bytes
    ) -> str:
        head = end.to_bytes(6) + nonce
        signed = msgspec.json.encode([tool.name, arguments, caller.key, would], order="deterministic")
        mac = hmac.digest(self.project.secret.encode(), b"agent confirmation\n" + head + signed, "sha256")
        return CONFIRM_PREFIX + base64url.encode(head + mac[:16])

    async def _exchange(
        self, authorization: str, wanted: ToolRequest, condition: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[Any, str]:
        """Return the response of a request, and its ETag or an empty text. Raises its error."""
        import httpx  # at the first call: it takes 4 MB

        headers = {"authorization": authorization, "accept": "application/json", **condition}
        query = {name: one for name, one in wanted.query.items() if one is not None}
        async with httpx.AsyncClient(transport=self.transport(), base_url="http://agents.internal") as client:
            response = await client.request(
                wanted.method, wanted.path, params=query, json=wanted.body, headers=headers, timeout=CALL_SECONDS
            )
        value = response.json() if response.content else {}
        if response.is_success:
            return value, response.headers.get("etag", "")
        # The error of a problem document.
        found = value if isinstance(value, dict) else {}
        fields = [(one["field"], one["message"]) for one in found.get("errors", ())]
        within = f"{wanted.below}." if wanted.below else ""
        errors = [FieldError(wanted.names.get(field, within + field), message) for field, message in fields]
        detail = Invalid.fields(errors).detail if errors else found.get("detail") or found.get("title")
        error = ToolError(str(detail or "The request was refused."))
        error.code, error.status = str(found.get("code", "internal")), response.status_code  # type: ignore[misc]  # other errors have those of their class; this one has those of the response
        error.errors = tuple(errors)
        raise error


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class ToolError(BellcastError):
    """A request of a tool was refused."""
