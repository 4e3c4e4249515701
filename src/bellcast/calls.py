"""Calls from clients, handled by the app: by Python handlers, or by one URL that receives every call, signed as Standard Webhooks
with the project secret's bytes. `connect` and `disconnect` are calls too.

`Callbacks` is the other side of the URL: the app's web server verifies the signature and runs the handler."""

import asyncio
import hmac
import inspect
import re
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import structlog
from msgspec import Struct

from bellcast.kernel import concurrency, setting_values, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, HandlerFailed, NoHandler, Unavailable
from bellcast.kernel.http.validation_errors import sentence
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import STEP_SEPARATOR, Http, sign, signing_key
from bellcast.live_feed import Feed, FeedEvent, redact

log = structlog.get_logger(__name__)

CONNECT, DISCONNECT = "connect", "disconnect"
ROOT = "/"

T = TypeVar("T")


class Refused(Exception):
    """Raised by a handler to reject a call. The client receives the message and the data."""

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message)
        msgspec.json.encode((message, data))  # raised in the handler: a refusal that cannot be sent would be no reply
        self.message = message
        self.data = data


class CallBackend(Protocol):
    """Handles calls."""

    def has(self, name: str) -> bool:
        """True if a handler with that name may exist. If False, connections cause no call."""

    def has_namespace(self, namespace: str) -> bool:
        """True if clients may connect to the namespace."""

    async def dispatch(self, call: "Call") -> Any:
        """Return the reply: None for an empty one, a tuple for several values. Raises Refused, NoHandler or
        HandlerFailed."""


class CallContext(Protocol):
    """Operations of a call on its connection, implemented by each dialect."""

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Emit to the caller."""

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Publish to a topic of the caller's tenant. The caller receives the event too if it follows the topic."""

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - see Call.ask
        """Emit to the caller and wait for its ack. Raises TimeoutError."""

    async def join(self, topic: str) -> None: ...

    async def leave(self, topic: str) -> None: ...

    async def disconnect(self) -> None:
        """Leave the call's namespace."""

    async def close(self, *, reconnect: bool) -> None:
        """Close the connection."""


class ConnectAccepted(Struct, frozen=True, kw_only=True):
    """The recipient that a `connect` handler accepted."""

    recipient: str
    roles: tuple[str, ...] | None = None
    tenant: str | None = None


class ConnectRequest(Struct, frozen=True):
    """The request that opened a connection, without the credentials that Bellcast checks.

    Names of headers are in lower case; of several equal names, the last one counts.
    """

    query: dict[str, str]
    headers: dict[str, str]
    address: str | None


class Call:
    """A call from a client, and the operations available to its handler. Dialects with namespaces name one; clients of
    some dialects connect without a recipient and sign in later with a separate proof."""

    def __init__(
        self,
        context: CallContext,
        name: str,
        args: Sequence[Any] = (),
        *,
        recipient: str | None,
        connection: str,
        dialect: str,
        tenant: str | None = None,
        roles: Sequence[str] = (),
        namespace: str | None = None,
        signs_in_late: bool = False,
        handshake: ConnectRequest | None = None,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.recipient = recipient
        self.roles = tuple(roles)
        self.tenant = tenant or None
        self.connection = connection
        self.dialect = dialect
        self.namespace = namespace or ROOT
        self.has_namespaces = namespace is not None
        self.signs_in_late = signs_in_late
        self.handshake = handshake  # of `connect`
        self.accepted: ConnectAccepted | None = None
        self._context = context
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    @property
    def data(self) -> Any:
        """The first argument, or None."""
        return self.args[0] if self.args else None

    async def emit(self, name: str, *args: Any) -> None:
        """Emit to the caller."""
        if self.name == CONNECT:  # sent after the handler
            msgspec.json.encode((name, args))
        await self._context.emit(name, args)

    async def publish(self, topic: str, name: str, data: Any = None) -> None:
        """Publish to a topic of the caller's tenant."""
        _check_topic(topic)
        await self._context.publish(topic, name, data)

    async def ask(self, name: str, *args: Any, timeout: float = 5.0) -> Any:  # noqa: ASYNC109 - dialects enforce it
        """Emit to the caller and return its ack. Raises TimeoutError."""
        return await self._context.ask(name, args, timeout)

    async def join(self, topic: str) -> None:
        """Subscribe the caller to the topic."""
        _check_topic(topic)
        await self._context.join(topic)

    async def leave(self, topic: str) -> None:
        """Unsubscribe the caller from the topic."""
        await self._context.leave(topic)

    async def disconnect(self) -> None:
        """Disconnect the caller from this namespace; the connection stays open."""
        await self._context.disconnect()

    async def close(self, *, reconnect: bool = True) -> None:
        """Close the connection. `reconnect` states whether the client may reconnect."""
        await self._context.close(reconnect=reconnect)

    def accept(self, recipient: str | int, *, roles: Sequence[str] | None = None, tenant: str | None = None) -> None:
        """In a `connect` handler: authenticate the connection as this recipient."""
        if self.name != CONNECT:
            raise RuntimeError(f"call.accept() is for the {CONNECT!r} handler, not for {self.name!r}.")
        # None would admit the client without an identity.
        if not isinstance(recipient, str | int) or isinstance(recipient, bool) or not str(recipient).strip():
            raise HandlerFailed(f"call.accept() expects the id of a recipient, got {recipient!r}.")
        given = None if roles is None else tuple(roles)
        # Each letter of a text would be a role.
        if isinstance(roles, str) or not all(isinstance(role, str) for role in given or ()):
            raise HandlerFailed(f"call.accept() expects a list of roles, got {roles!r}.")
        if not isinstance(tenant, str | None):
            raise HandlerFailed(f"call.accept() expects the key of a tenant, got {tenant!r}.")
        self.accepted = ConnectAccepted(recipient=str(recipient), roles=given, tenant=tenant)

    def wait(self, operation: Awaitable[T]) -> T:
        """Wait for an operation in a plain function, which runs in a thread: `call.wait(call.emit("done"))`."""

        async def wait() -> T:
            return await operation

        if threading.get_ident() == self._thread:
            if inspect.iscoroutine(operation):
                operation.close()
            raise RuntimeError("call.wait() is for plain functions, and would block the server: use `await`.")
        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()


def _check_topic(topic: object) -> None:
    """Raise HandlerFailed for a topic that other servers cannot read: in `connect`, it takes effect after the handler."""
    if not isinstance(topic, str) or any(validation.encodable("topic", topic)):
        raise HandlerFailed(f"Expected the name of a topic, got {topic!r}.")


def admit_by_session(call: Call) -> None:
    """Decide a failed `connect` or `disconnect` by the session alone. A connection with a session is accepted with
    the session's permissions, so that inboxes keep working while the app is down. A connection without a session must
    retry, as must one for a namespace of the app."""
    call.accepted = None  # a failed handler may have accepted before it failed
    if call.name != CONNECT:
        return
    is_anonymous = call.recipient is None and not call.signs_in_late
    if is_anonymous or call.namespace != ROOT:
        raise Unavailable(
            "The app did not respond, so this connection cannot be accepted without a session.", retry_after=1
        )


# --- handlers in Python

Function = Callable[[Call], Any]
AnyFunction = TypeVar("AnyFunction", bound=Function)


class Handlers:
    """The app's handlers by call name, for every namespace."""

    def __init__(self, *, namespaces: Iterable[str | re.Pattern[str]] = ()) -> None:
        self._namespaces = (ROOT, *namespaces)
        self._functions: dict[str, Function] = {}
        for namespace in self._namespaces:
            if isinstance(namespace, str) and not namespace.startswith(ROOT):
                raise ValueError(f"A namespace must begin with a slash, got {namespace!r}.")

    def on(self, name: str) -> Callable[[AnyFunction], AnyFunction]:
        """Register a handler for calls of that name: `async def`, or `def`, which runs in a thread."""
        if name in self._functions:
            raise ValueError(f"A handler for {name!r} is already registered: {self._functions[name]!r}.")

        def register(function: AnyFunction) -> AnyFunction:
            self._functions[name] = function
            return function

        return register

    def has(self, name: str) -> bool:
        return name in self._functions

    def has_namespace(self, namespace: str) -> bool:
        return any(
            allowed == namespace if isinstance(allowed, str) else allowed.fullmatch(namespace) is not None
            for allowed in self._namespaces
        )

    async def dispatch(self, call: Call) -> Any:
        function = self._functions.get(call.name)
        if function is None:
            raise NoHandler(f"No handler exists for {call.name!r}.")
        try:
            if inspect.iscoroutinefunction(function):
                reply = await function(call)
            else:
                reply = await concurrency.call_in_thread(function, call, call.tenant)
                reply = await reply if inspect.isawaitable(reply) else reply
            msgspec.json.encode(reply)  # a value that cannot be encoded is the handler's error
        except Refused:
            raise
        except Exception:
            log.exception("handler_failed", call=call.name, connection=call.connection)
            if call.name in (CONNECT, DISCONNECT):
                return admit_by_session(call)
            raise HandlerFailed(f"The handler of {call.name!r} failed; see the server's log.") from None
        return reply


def load(target: str) -> Handlers:
    """Import the handlers at `module:name`; the module may be in the working directory. Raises SettingsError."""
    return setting_values.imported("BELLCAST_HANDLERS", target, Handlers)


# --- the app's web server: verifies and handles the calls of the URL

# A time in seconds since 1970. Python cannot convert numbers of any length.
SECONDS = re.compile("[0-9]{1,15}")
# Maximum seconds between a signature's time and now, for clocks that differ and delayed requests.
TOLERANCE = 300
# Bytes of an unsigned body in memory; a call has about a million by default.
MAX_BODY = 16 * 1024 * 1024


class CallbackContext:
    """Collects the effects of a handler for the response. Without a connection, `ask` and `close` are unavailable."""

    def __init__(self) -> None:
        self.response: dict[str, Any] = {}

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        self._append("emit", {"name": name, "args": list(args)})

    async def publish(self, topic: str, name: str, data: Any) -> None:
        self._append("emit", {"name": name, "args": [data], "to": topic})

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109  as in CallContext
        raise RuntimeError("call.ask() needs handlers in the server: `bellcast serve --handlers`.")

    async def join(self, topic: str) -> None:
        self._append("join", topic)

    async def leave(self, topic: str) -> None:
        self._append("leave", topic)

    async def disconnect(self) -> None:
        raise RuntimeError("call.disconnect() needs handlers in the server: `bellcast serve --handlers`.")

    async def close(self, *, reconnect: bool) -> None:
        raise RuntimeError("call.close() needs handlers in the server: `bellcast serve --handlers`.")

    def _append(self, name: str, value: Any) -> None:
        self.response.setdefault(name, []).append(value)


class Callbacks:
    """Handles the requests that Bellcast sends to BELLCAST_HANDLER_URL. It is an ASGI app for HTTP requests.

    `handlers` are Handlers, or functions of a call by name; `secret` is the project's secret."""

    def __init__(
        self,
        handlers: Handlers | Mapping[str, Function],
        secret: str,
        *,
        clock: Callable[[], float] = time.time,  # noqa: TID251  in the app, there is no Clock port
    ) -> None:
        self._handlers = handlers if isinstance(handlers, Handlers) else Handlers()
        if not isinstance(handlers, Handlers):
            for name, function in handlers.items():
                self._handlers.on(name)(function)
        self._key = signing_key(secret)
        self._clock = clock

    async def __call__(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Respond to a request as an ASGI app, which a route of Starlette and FastAPI accepts."""
        if scope["type"] != "http":
            raise ValueError(f"Callbacks serves HTTP requests, not {scope['type']}")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body, message = bytearray(), {"more_body": True}
        while message.get("more_body") and len(body) <= MAX_BODY:
            message = await receive()
            body += message.get("body", b"")
        if len(body) > MAX_BODY:
            status, response = 413, {"detail": f"The body has more than {MAX_BODY} bytes."}
        else:
            status, response = await self.answer_async(headers, bytes(body))
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": msgspec.json.encode(response)})

    def answer(self, headers: Mapping[str, str], body: bytes | str) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON object of the response."""
        return asyncio.run(self.answer_async(headers, body))

    async def answer_async(self, headers: Mapping[str, str], body: bytes | str) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON object of the response."""
        text = body.encode() if isinstance(body, str) else bytes(body)
        if not self._is_signed({name.lower(): value for name, value in headers.items()}, text):
            return 401, {"detail": "The signature is missing, wrong or too old."}
        try:
            fields = msgspec.json.decode(text, type=dict[str, Any])
            name = fields["name"]
        except (msgspec.DecodeError, KeyError):
            return 400, {"detail": "Expected a call as JSON."}
        if not self._handlers.has(name):
            return 404, {"detail": f"No handler exists for {name!r}."}
        context = CallbackContext()
        call = Call(
            context,
            name,
            fields.get("args") or (),
            recipient=fields.get("recipient"),
            connection=fields.get("connection") or "",
            dialect=fields.get("dialect") or "",
            tenant=fields.get("tenant"),
            roles=fields.get("roles") or (),
            namespace=fields.get("namespace"),
            handshake=ConnectRequest(**fields["handshake"]) if "handshake" in fields else None,
        )
        try:
            reply = await self._handlers.dispatch(call)
        except Refused as refused:
            return 200, {**context.response, "refuse": {"message": refused.message, "data": refused.data}}
        except NoHandler as missing:
            return 404, {"detail": missing.detail}
        except (HandlerFailed, Unavailable) as failed:  # of `connect`, Unavailable
            return 500, {"detail": failed.detail}
        response = {**context.response, "reply": reply}
        if call.accepted is not None:
            response["accept"] = msgspec.to_builtins(call.accepted)
        return 200, response

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not id or STEP_SEPARATOR in id or not SECONDS.fullmatch(moment):
            return False
        if abs(self._clock() - int(moment)) > TOLERANCE:
            return False
        expected = sign([self._key], id, int(moment), body)["webhook-signature"].encode()
        signatures = headers.get("webhook-signature", "").split()
        # There are several signatures while a secret is being rotated.
        return any(hmac.compare_digest(expected, one.encode()) for one in signatures)


# --- the server: calls the URL

# Timeout of a call, in seconds. Clients wait for it, and a hanging app must not accumulate pending calls.
TIMEOUT = 5.0
# How long `connect` and `disconnect` calls are skipped if the app is down: connections must not wait for it.
FAILED_PAUSE_MS = 10_000
# Statuses of a proxy whose app is down. Any other may be that of one client, and the others must not pass without a call.
APP_DOWN = (502, 503, 504)
NO_NAMESPACE = "Invalid namespace"  # the reference server's message, which clients compare


class EmittedEvent(Struct, frozen=True, kw_only=True):
    """One event of the URL's response. `to` is a topic; without it the caller receives the event."""

    name: str
    args: list[Any] = []
    to: str | None = None


class ConnectRefusal(Struct, frozen=True, kw_only=True):
    """A rejection with the app's message."""

    message: str
    data: Any = None


class HandlerReply(Struct, frozen=True, kw_only=True):
    """The URL's response. `accept` is valid only for `connect`."""

    reply: Any = None
    emit: list[EmittedEvent] = []
    join: list[str] = []
    leave: list[str] = []
    accept: ConnectAccepted | None = None
    refuse: ConnectRefusal | None = None


class HttpCallback:
    """Posts calls to the app's current URL and applies its response. Without a URL it handles no calls."""

    def __init__(self, url: Callable[[], str | None], project: Project, http: Http, clock: Clock) -> None:
        self._url = url
        self._keys = [signing_key(one.secret) for one in project.accepted]
        self._http = http
        self._clock = clock
        self._failed_until: dict[tuple[str | None, str], int] = {}  # by URL and name: until when they are not sent

    def has(self, name: str) -> bool:
        return self._url() is not None  # the rest is decided by each call

    def has_namespace(self, namespace: str) -> bool:
        return namespace == ROOT or self._url() is not None  # the rest is decided by the `connect` call

    async def dispatch(self, call: Call) -> Any:
        url = self._url()
        pause = self._failed_until.get((url, call.name), 0) - self._clock.now()
        if call.namespace == ROOT and 0 < pause <= FAILED_PAUSE_MS:  # longer: the clock was set back
            return admit_by_session(call)
        try:
            reply = await self._post(url, call)
            if reply.accept is not None:
                if call.name != CONNECT:
                    raise HandlerFailed("The handler URL returned `accept` for a call other than `connect`.")
                call.accept(reply.accept.recipient, roles=reply.accept.roles, tenant=reply.accept.tenant)
            for topic in reply.join:
                await call.join(topic)
            for topic in reply.leave:
                await call.leave(topic)
            for emitted in reply.emit:
                name, args = emitted.name, emitted.args
                data = args if len(args) > 1 else next(iter(args), None)
                await (call.emit(name, *args) if emitted.to is None else call.publish(emitted.to, name, data))
        except NoHandler:
            if call.name not in (CONNECT, DISCONNECT):
                raise
            if call.name == CONNECT and call.namespace != ROOT:
                raise Refused(NO_NAMESPACE) from None
            return None
        except BellcastError as failure:
            log.warning("handler_url_failed", call=call.name, reason=failure.detail)
            if call.name not in (CONNECT, DISCONNECT):
                raise HandlerFailed(f"The handler of {call.name!r} failed; see the server's log.") from None
            if call.namespace == ROOT and isinstance(failure, Unavailable):
                self._failed_until[url, call.name] = self._clock.now() + FAILED_PAUSE_MS
            return admit_by_session(call)
        if reply.refuse is not None:
            raise Refused(reply.refuse.message, data=reply.refuse.data)
        return reply.reply

    async def _post(self, url: str | None, call: Call) -> HandlerReply:
        if url is None:
            raise NoHandler("This server has no handlers: set BELLCAST_HANDLERS or BELLCAST_HANDLER_URL.")
        payload: dict[str, Any] = {
            "name": call.name,
            "args": call.args,
            "recipient": call.recipient,
            "tenant": call.tenant,
            "roles": call.roles,
            "connection": call.connection,
            "dialect": call.dialect,
        }
        if call.has_namespaces:
            payload["namespace"] = call.namespace
        if call.handshake is not None:
            payload["handshake"] = call.handshake
        body = msgspec.json.encode(payload)
        headers = sign(self._keys, f"call_{uuid.uuid4().hex}", self._clock.now() // 1000, body)
        headers["content-type"] = "application/json"
        response = await self._http.request("POST", url, headers=headers, body=body, timeout=TIMEOUT)
        if response.status == 404:
            raise NoHandler("No handler exists for this call.")
        if response.status != 200:
            error = Unavailable if response.status in APP_DOWN else HandlerFailed
            raise error(f"The handler URL responded {response.status}, expected 200 or 404.")
        try:
            return msgspec.json.decode(response.body or b"{}", type=HandlerReply)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise HandlerFailed(sentence(problem, "The handler URL's response")) from None


class ObservedCalls:
    """A call backend that emits a feed event for each call, with its outcome and duration."""

    def __init__(self, backend: CallBackend, feed: Feed, clock: Clock) -> None:
        self._backend = backend
        self._feed = feed
        self._clock = clock
        self.has, self.has_namespace = backend.has, backend.has_namespace  # called for every connection

    async def dispatch(self, call: Call) -> Any:
        started, outcome = self._clock.now(), "failed"
        try:
            reply = await self._backend.dispatch(call)
            outcome = "ok"
        except BellcastError as error:
            outcome = error.code
            raise
        except Refused:
            outcome = "refused"
            raise
        finally:
            ended = self._clock.now()
            fields = {"name": call.name, "outcome": outcome, "ms": ended - started, "protocol": call.dialect}
            if self._feed.is_watched:
                fields["data"] = redact(call.args)
            event = FeedEvent(
                kind="call",
                at=ended,
                text=f"the app handled {call.name}" if outcome == "ok" else f"{call.name}: {outcome}",
                tenant=call.tenant or "",
                recipient=call.recipient,
                connection=call.connection,
                fields=fields,
            )
            self._feed.emit(event)
        return reply
