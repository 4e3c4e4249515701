"""Admission of connections for all dialects: connection limits, opening the inbox, session revocation.

The connection is registered with the hub before its inbox is read, so no event is lost between the snapshot and the
first live event."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog
from msgspec.structs import replace

from bellcast.auth.authenticator import Authenticator
from bellcast.auth.request import AuthRequest
from bellcast.engines import Engines
from bellcast.inbox import inboxes
from bellcast.inbox.types.inboxes import Inbox, OpenInbox, Position, ResumeFrom, SessionRevoked
from bellcast.kernel.errors import BellcastError, Forbidden, Invalid, TooMany, Unauthenticated, Unavailable
from bellcast.kernel.events import INBOX, Stream, inbox_stream
from bellcast.kernel.identities import Principal
from bellcast.kernel.token_bucket import Pace
from bellcast.live import resume
from bellcast.live.connection import NO_MARK, Connection, Phase, close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.hub import Hub
from bellcast.live.hub.subscriptions import ADDRESS
from bellcast.live.types import LiveConfig

# Maximum characters stored of a connection's origin: a scheme, a host name of at most 253 characters and a port.
MAX_ORIGIN = 300
# Retry delay when a process or an address has reached its connection limit.
PROCESS_FULL_RETRY_SECONDS = 5
# A recipient at its limit probably has a page in a reconnect loop, so the delay is longer.
RECIPIENT_FULL_RETRY_SECONDS = 60

# Of one recipient on a node, because each takes 3 ms of CPU time, or half of those it may have if that is more, so that all return
# within MAX_TURN_SECONDS. Further ones wait for their turn, for at most that long.
ADMISSIONS_PER_SECOND = 50
MAX_TURN_SECONDS = 5.0

# Maximum connections that wait for the app's `connect` handler. They are not authenticated yet, and each may wait for
# the handler's timeout. The total equals the limit on Engine.IO sessions without a namespace. The limit per address is
# lower, so that one client cannot use up the total.
MAX_WAITING_FOR_APP = 5_000
MAX_WAITING_FOR_APP_PER_ADDRESS = 2_000

# Minimum interval between two warnings about the connection limit.
WARNING_INTERVAL_MS = 60_000
REMEDY = "more workers or nodes, BELLCAST_LIMIT_CONNECTIONS if it is set, or more open files (ulimit -Hn, LimitNOFILE=)"

# Random bytes of a connection id: enough to make ids unguessable.
ID_BYTES = 12

log = structlog.get_logger(__name__)
AnyConnection = TypeVar("AnyConnection", bound=Connection)
Started = TypeVar("Started")
RefusalResult = TypeVar("RefusalResult")


class Admission:
    """Enforces the connection limits and opens the inboxes of admitted connections."""

    def __init__(self, engines: Engines, hub: Hub, config: LiveConfig, authenticator: Authenticator) -> None:
        self._engines = engines
        self._hub = hub
        self._config = config
        self._limits = config.limits
        self._authenticator = authenticator
        self._pace = Pace()
        self._next_warning_at = 0
        self._waiting_for_app = 0
        self._waiting_by_address: Counter[str | None] = Counter()  # None: unknown
        hub.groups.known.append(self._check_group)

    def create_connection(
        self,
        kind: Callable[..., AnyConnection],
        dialect: Any,
        principal: Principal,
        address: str | None,
        origin: str | None,
        **fields: Any,
    ) -> AnyConnection:
        """Create an unregistered connection. The address is stored only if connections per address are limited."""
        stored_address = address if self._limits.connections_per_address else None
        # Interned: connections from one site share the text of its origin.
        shared_origin = None if origin is None else sys.intern(origin[:MAX_ORIGIN])
        id = os.urandom(ID_BYTES).hex()
        return kind(
            id, dialect, principal, self._hub, self._engines.clock.now(), stored_address, shared_origin, **fields
        )

    def check_address(self, address: str | None, unjoined: int = 0) -> None:
        """Raise TooMany if the address has reached its connection limit. `unjoined` are its Socket.IO sessions without a
        namespace, of which some may wait for the app."""
        limit = self._limits.connections_per_address
        if not limit or address is None:
            return
        if self._hub.at_address(address) + max(unjoined, self._waiting_by_address[address]) >= limit:
            raise TooMany(f"This address already has {limit} connections.", retry_after=PROCESS_FULL_RETRY_SECONDS)

    @contextmanager
    def waiting_for_app(self, address: str | None) -> Iterator[None]:
        """Count a connection while it waits for the app's `connect` handler. Raises TooMany or Unavailable at a limit."""
        self.check_address(address)
        self._check_process()
        if address is not None and self._waiting_by_address[address] >= MAX_WAITING_FOR_APP_PER_ADDRESS:
            raise TooMany(
                "Too many connections from this address are waiting for the app.",
                retry_after=PROCESS_FULL_RETRY_SECONDS,
            )
        if self._waiting_for_app >= MAX_WAITING_FOR_APP:
            raise Unavailable("Too many connections are waiting for the app.", retry_after=PROCESS_FULL_RETRY_SECONDS)
        self._waiting_for_app += 1
        self._waiting_by_address[address] += 1
        try:
            yield
        finally:
            self._waiting_for_app -= 1
            self._waiting_by_address[address] -= 1
            if not self._waiting_by_address[address]:
                del self._waiting_by_address[address]

    async def admit(
        self, connection: Connection, position: Position | None = None, request: AuthRequest | None = None
    ) -> OpenInbox | None:
        """Register the connection, then open its recipient's inbox with the changes since `position`. Returns None for an
        anonymous connection. A session by a cookie of the request is queried again after a revocation."""
        tenant, recipient = connection.principal.tenant, connection.principal.recipient
        inbox = None if recipient is None else inbox_stream(tenant, recipient)
        if inbox is not None:
            await self._wait_for_turn(connection, inbox)
        if connection.address is not None:
            self.check_address(connection.address)  # repeated, because authentication took time
        self._check_process()
        if inbox is not None:
            self._check_recipient(inbox)
        self._hub.add(connection, inbox)
        opened = None if inbox is None else await self._open_inbox(connection, position, request)
        if connection.phase is Phase.CLOSED:
            raise Unavailable("The connection was closed while it was starting.")
        return opened

    async def sign_in(self, connection: Connection, principal: Principal) -> Inbox:
        """Open the inbox of an anonymous connection that has authenticated as a recipient."""
        inbox_of_recipient = inbox_stream(principal.tenant, principal.recipient or "")
        await self._wait_for_turn(connection, inbox_of_recipient)
        self._check_recipient(inbox_of_recipient)
        connection.transition(Phase.OPENING)
        connection.principal = principal
        self._hub.subscriptions.follow_stream(connection, inbox_of_recipient)
        self._hub.callbacks.renewed(connection)
        inbox = (await self._open_inbox(connection, None, None)).inbox
        if connection.phase is Phase.CLOSED:
            raise Unavailable("The connection was closed during sign-in.")
        return inbox

    async def _wait_for_turn(self, connection: Connection, inbox: Stream) -> None:
        """Wait for the turn of another connection of a recipient. Raises TooMany at once if the wait would exceed MAX_TURN_SECONDS."""
        limit, now = self._limits.connections_per_recipient, asyncio.get_running_loop().time()
        wait = self._pace.take(inbox, limit and max(ADMISSIONS_PER_SECOND, limit // 2), now, MAX_TURN_SECONDS)
        if wait > MAX_TURN_SECONDS:
            raise TooMany("This recipient connects too often.", retry_after=RECIPIENT_FULL_RETRY_SECONDS)
        if wait:
            await asyncio.sleep(wait)
            if connection.phase is Phase.CLOSED:
                raise Unavailable("The connection was closed while it waited for its turn.")

    def _check_process(self) -> None:
        limit = self._config.max_connections
        if limit and len(self._hub) + self._waiting_for_app >= limit:
            now = self._engines.clock.now()
            if now >= self._next_warning_at:
                self._next_warning_at = now + WARNING_INTERVAL_MS
                log.warning("connection_limit_reached", limit=limit, remedy=REMEDY)
            raise Unavailable("This server has reached its connection limit.", retry_after=PROCESS_FULL_RETRY_SECONDS)

    def _check_recipient(self, inbox: Stream) -> None:
        limit, here = self._limits.connections_per_recipient, self._hub.subscriptions.total(inbox)
        if limit and here >= limit:
            raise TooMany(f"This recipient already has {here} connections.", retry_after=RECIPIENT_FULL_RETRY_SECONDS)

    def _check_group(self, stream: Stream) -> None:
        """Close the newest connections over a limit. The first ones of a recipient or an address on a node are admitted before
        those on other nodes are known."""
        limits = self._limits
        if stream.startswith(INBOX):
            limit, delay = limits.connections_per_recipient, RECIPIENT_FULL_RETRY_SECONDS
            connections = self._hub.subscriptions.connections_on(stream)
        else:
            limit, delay = limits.connections_per_address, PROCESS_FULL_RETRY_SECONDS
            if not limit or not stream.startswith(ADDRESS):
                return
            connections = [one for one in self._hub if one.address == stream.removeprefix(ADDRESS)]
        excess = self._hub.groups.count_before(stream) + len(connections) - limit
        if limit and excess > 0:
            for connection in sorted(connections, key=lambda one: one.connected_at)[-excess:]:
                self._hub.end(connection, replace(close_reasons.TOO_MANY, after=delay * 1000))

    async def _open_inbox(
        self, connection: Connection, position: Position | None, request: AuthRequest | None
    ) -> OpenInbox:
        since = None if position is None else ResumeFrom(position, self._limits.replay or resume.NO_LIMIT)
        renew = partial(self._authenticator.renewed, request)
        principal, opened = await inboxes.enter(self._engines, connection.principal, since, renew)
        inbox = opened.inbox
        connection.principal = principal.with_name(inbox.name)
        connection.inbox, connection.epoch, connection.mark_revision = inbox.number, inbox.state.epoch, NO_MARK
        return opened


async def guarded_start(
    connection: Connection, start: Awaitable[Started], refuse: Callable[[BellcastError], RefusalResult]
) -> Started | RefusalResult:
    """Await the start of a connection. If it fails, call `refuse` to send the error in the dialect's form, and
    unregister the connection, so that no dead connection stays open and counted. An unexpected exception is logged."""
    is_started = False
    try:
        started = await start
    except BellcastError as error:
        return refuse(error)
    except Exception:
        log.exception("connection_start_failed", connection=connection.id)
        return refuse(BellcastError())
    else:
        is_started = True
        return started
    finally:
        if not is_started:
            connection.owner.on_disconnected(connection)


def close_refused(connection: Connection, error: BellcastError) -> None:
    """Close a connection with the close reason of an error."""
    connection.owner.end(connection, close_reason_for(error))


def close_reason_for(error: BellcastError) -> CloseReason:
    match error:
        case SessionRevoked():
            return close_reasons.REVOKED
        case Unauthenticated():
            return close_reasons.UNAUTHENTICATED
        case TooMany():
            return replace(close_reasons.TOO_MANY, after=(error.retry_after or RECIPIENT_FULL_RETRY_SECONDS) * 1000)
        case Unavailable():
            reason = close_reasons.UNAVAILABLE
            return replace(reason, after=max(reason.after or 0, (error.retry_after or 0) * 1000))
        case close_reasons.RejectedByApp():
            return replace(close_reasons.FORBIDDEN, message=error.detail)
        case Forbidden():
            return close_reasons.FORBIDDEN
        case Invalid():
            return replace(close_reasons.BAD_REQUEST, message=error.detail)
        case _:
            return close_reasons.UNAVAILABLE if error.is_server_error else close_reasons.BAD_REQUEST
