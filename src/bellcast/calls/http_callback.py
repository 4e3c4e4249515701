"""The app's URL: every call is a POST signed as Standard Webhooks with the project secret's bytes."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Call, ConnectAccepted, Refused, admit_by_session
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, HandlerFailed, NoHandler, Unavailable
from bellcast.kernel.http.validation_errors import sentence
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound.port import Http, Response
from bellcast.kernel.outbound.webhook_signature import sign, signing_key

log = structlog.get_logger(__name__)

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

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return self._url() is not None  # the rest is decided by each call

    def has_namespace(self, namespace: str) -> bool:
        return namespace == ROOT or self._url() is not None  # the rest is decided by the `connect` call

    async def dispatch(self, call: Call) -> Any:
        url = self._url()
        if call.namespace == ROOT and self._clock.now() < self._failed_until.get((url, call.name), 0):
            return admit_by_session(call)
        try:
            reply = _read(await self._post(url, call))
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

    async def _post(self, url: str | None, call: Call) -> Response:
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
        return await self._http.request("POST", url, headers=headers, body=body, timeout=TIMEOUT)


def _read(response: Response) -> HandlerReply:
    if response.status == 404:
        raise NoHandler("No handler exists for this call.")
    if response.status != 200:
        error = Unavailable if response.status in APP_DOWN else HandlerFailed
        raise error(f"The handler URL responded {response.status}, expected 200 or 404.")
    try:
        return msgspec.json.decode(response.body or b"{}", type=HandlerReply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HandlerFailed(sentence(error, "The handler URL's response")) from None
