"""The Pusher apps of the server: the project's app, and those in the store, whose secrets are encrypted."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from bellcast.documents.store import Documents
from bellcast.documents.types import MAX_CHANGE_ROUNDS, Document
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Conflict, NotFound, Unavailable
from bellcast.kernel.identities import DEFAULT_TENANT, Project
from bellcast.live.connection import Connection
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.pusher import protocol

log = structlog.get_logger(__name__)

KIND = "pusher-apps"
# A secret has the size of an HMAC-SHA256 key.
SECRET_BYTES = 32
# Maximum apps: every node keeps all of them in memory.
MAX_APPS = 1_000
# How long the previous secret is valid: the app's servers must get the new one within this time.
ROTATION_MS = 86_400_000


class PusherApp(Struct, frozen=True, kw_only=True):
    """An app with its credentials. Its connections and events belong to its tenant; apps of one tenant share their channels.
    The `previous` credentials, with the secret before the last rotation, are valid until `previous_until` (UTC
    milliseconds)."""

    credentials: Project
    name: str = ""
    tenant: str = DEFAULT_TENANT
    enabled: bool = True
    origins: tuple[str, ...] = ()  # origins of pages that may connect; none: those of BELLCAST_ORIGINS
    previous: Project | None = None
    previous_until: int = 0
    created_at: int = 0
    # the only channel it may use, without sign-in: for credentials that are being tested, not stored
    only_channel: str | None = None
    # `overridden`: the project's app or an older app has the same id or key. `unreadable`: its secret was encrypted with a key
    # that the server does not have.
    state: Literal["active", "disabled", "overridden", "unreadable"] = "active"
    is_project: bool = False

    @property
    def is_readable(self) -> bool:
        """False if its secret was encrypted with a key that this node does not have: another node may have it."""
        return bool(self.credentials.secret)

    def valid_credentials(self, now: int) -> tuple[Project, ...]:
        """Return the app's credentials that are valid at this time (UTC milliseconds)."""
        if self.previous is not None and now < self.previous_until:
            return self.credentials, self.previous
        return (self.credentials,)


class StoredApp(Struct, frozen=True, kw_only=True):
    """A stored app, under its tenant and id. The secrets are encrypted."""

    key: str
    secret: str
    name: str
    enabled: bool = True
    origins: tuple[str, ...] = ()
    previous: str | None = None
    previous_until: int = 0


class PusherAppDirectory:
    """The apps of the store and the project's app, which is part of the server's configuration and takes precedence. Searches
    read memory only; changes of other nodes arrive within seconds, because `announce` makes them reload the apps."""

    def __init__(
        self, db: Engine, clock: Clock, encryption: Encryption, project: Project, announce: Callable[[], Any]
    ) -> None:
        self._documents = Documents(db)
        self._clock = clock
        self._encryption = encryption
        self._announce = announce
        previous = project.accepted[1] if project.second is not None else None
        until = 0 if previous is None else sys.maxsize
        self._project = PusherApp(credentials=project, previous=previous, previous_until=until, is_project=True)
        self._known: list[tuple[str, Document]] = []
        self.all = [self._project]  # the project's app first, then the oldest first
        self._trials: list[PusherApp] = []
        self.by_id: dict[str, PusherApp] = {}
        self.by_key: dict[str, PusherApp] = {}
        self.watchers: list[Callable[[], None]] = []  # called after each change of the apps
        self._reading = asyncio.Lock()
        self._index()

    def of_tenant(self, tenant: str) -> PusherApp | None:
        """Return the app for signing in a tenant: the project's for the default tenant, else the oldest enabled one whose
        id and key no older app has."""
        apps = (app for app in self.all if app.state != "overridden")
        return next((app for app in apps if app.tenant == tenant and app.enabled), None)

    async def create(self, app: PusherApp) -> PusherApp:
        """Create an app. Raises Conflict if another app has its id or its key."""
        await self.reload()
        self._check_free(app.credentials)
        if len(self.all) > MAX_APPS:
            raise Conflict(f"There are already {MAX_APPS} apps.")
        app = replace(app, created_at=request_time(self._clock))
        id, place = app.credentials.id, _place(app.tenant, app.credentials.id)
        stored = StoredApp(
            key=app.credentials.key,
            secret=self._encryption.encrypt(app.credentials.secret, place),
            name=app.name,
            enabled=app.enabled,
            origins=app.origins,
        )
        if not await self._documents.change(KIND, app.tenant, id, None, msgspec.json.encode(stored), app.created_at):
            raise Conflict("An app with this id was created in the meantime.")
        await self._refresh()
        return app

    async def change(self, id: str, **fields: Any) -> PusherApp:
        """Change the name, `enabled` or the origins. Raises NotFound, and Conflict for the project's app."""
        return await self._change(id, lambda tenant, stored: replace(stored, **fields))

    async def rotate(self, id: str) -> PusherApp:
        """Replace the secret; the previous one stays valid for a day. Raises NotFound, and Conflict for the project's app."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        until = self._clock.now() + ROTATION_MS

        def rotated(tenant: str, stored: StoredApp) -> StoredApp:
            encrypted = self._encryption.encrypt(secret, _place(tenant, id))
            return replace(stored, secret=encrypted, previous=stored.secret, previous_until=until)

        return await self._change(id, rotated)

    async def delete(self, id: str) -> None:
        """Raises NotFound, and Conflict for the project's app."""
        tenant, _ = await self._find(id)
        if not await self._documents.delete(KIND, tenant, id):
            raise NotFound("No Pusher app has this id.")
        await self._refresh()

    async def _refresh(self) -> None:
        await self.reload()
        await self._announce()

    # --- changes

    async def _change(self, id: str, change: Callable[[str, StoredApp], StoredApp]) -> PusherApp:
        for _ in range(MAX_CHANGE_ROUNDS):
            tenant, before = await self._find(id)
            after = msgspec.json.encode(change(tenant, msgspec.json.decode(before.body, type=StoredApp)))
            if await self._documents.change(KIND, tenant, id, before.body, after, self._clock.now()):
                await self._refresh()
                return self._read(tenant, replace(before, body=after))
        raise Unavailable("The app is being changed by too many requests.")

    async def _find(self, id: str) -> tuple[str, Document]:
        """Return the tenant and the document of a stored app. Raises NotFound and Conflict."""
        if id == self._project.credentials.id:
            raise Conflict("This is the project's app: its credentials are in BELLCAST_PROJECT or the data folder.")
        await self.reload()
        found = next(((tenant, document) for tenant, document in self._known if document.key == id), None)
        if found is None:
            raise NotFound("No Pusher app has this id.")
        return found

    def _check_free(self, credentials: Project) -> None:
        for app in self.all:
            if app.credentials.id == credentials.id:
                raise Conflict("Another app already has this id.")
            if app.credentials.key == credentials.key:
                raise Conflict("Another app already has this key.")

    @contextlib.contextmanager
    def trial(self, app: PusherApp, channel: str) -> Iterator[None]:
        """Accept an app that is not stored, on this node and for one channel, unless another app has the same id or
        key."""
        try:
            self._check_free(app.credentials)
        except Conflict:
            yield
            return
        trial = replace(app, only_channel=channel)
        self._trials.append(trial)
        self._index()
        try:
            yield
        finally:
            self._trials.remove(trial)
            self._index()

    # --- the apps in memory

    async def reload(self) -> None:
        """Reload the apps from the store. Of concurrent calls, the last one to return has read last."""
        async with self._reading:
            known = [one async for one in self._documents.every(KIND)]
            if known == self._known:
                return
            self._known = known
        apps = sorted((self._read(*one) for one in known), key=lambda app: (app.created_at, app.credentials.id))
        self.all = [self._project]
        taken = {("id", self._project.credentials.id), ("key", self._project.credentials.key)}
        for app in apps:
            own = {("id", app.credentials.id), ("key", app.credentials.key)}
            if taken & own:
                self.all.append(replace(app, state="overridden"))
            else:
                self.all.append(app)
                taken |= own
        self._index()

    def _index(self) -> None:
        # Stored apps replace trials with the same id or key.
        apps = [app for app in (*self._trials, *self.all) if app.state != "overridden"]
        self.by_id = {app.credentials.id: app for app in apps}
        self.by_key = {app.credentials.key: app for app in apps}
        for changed in self.watchers:
            changed()

    def _read(self, tenant: str, document: Document) -> PusherApp:
        stored, id = msgspec.json.decode(document.body, type=StoredApp), document.key
        secret = self._decrypted(tenant, id, stored.secret)
        previous = None if stored.previous is None else self._decrypted(tenant, id, stored.previous)
        return PusherApp(
            credentials=Project(id, stored.key, secret or ""),
            name=stored.name,
            tenant=tenant,
            enabled=stored.enabled and secret is not None,
            origins=stored.origins,
            previous=None if previous is None else Project(id, stored.key, previous),
            previous_until=stored.previous_until,
            created_at=document.created_at,
            state="unreadable" if secret is None else "active" if stored.enabled else "disabled",
        )

    def _decrypted(self, tenant: str, id: str, encrypted: str) -> str | None:
        try:
            return self._encryption.decrypt(encrypted, _place(tenant, id))
        except ValueError as error:
            log.error("pusher_app_unusable", app=id, tenant=tenant, reason=str(error))  # noqa: TRY400  the message is enough
            return None


def _place(tenant: str, id: str) -> str:
    return f"{KIND}/{tenant}/{id}"


class ConnectedApps(Struct, eq=False):
    """Keys and tenants of apps by connection; a connection without an entry belongs to the project's app and costs
    nothing here. A connection ends when its app is deleted or disabled."""

    project: Project
    apps: PusherAppDirectory
    clock: Clock
    end: Callable[[Connection, CloseReason], None]
    is_used: bool = False  # True once a Pusher client has connected to this process
    _keys: dict[Connection, tuple[str, str]] = {}

    def __post_init__(self) -> None:
        self.apps.watchers.append(self._close_disabled)

    def add(self, connection: Connection, app: PusherApp) -> None:
        self.is_used = True
        if app.credentials.key != self.project.key:
            self._keys[connection] = app.credentials.key, app.tenant

    def discard(self, connection: Connection) -> None:
        self._keys.pop(connection, None)

    def credentials(self, connection: Connection) -> Sequence[Project]:
        """Return the valid credentials of the connection's app, the newest first."""
        app = self.apps.by_key.get(self.key(connection))
        return () if app is None else app.valid_credentials(self.clock.now())

    def key(self, connection: Connection) -> str:
        return self._keys[connection][0] if connection in self._keys else self.project.key

    def only_channel(self, connection: Connection) -> str | None:
        """Return the only channel that the connection's app may use; sign-in is then not allowed. None: any channel."""
        app = self.apps.by_key.get(self.key(connection)) if connection in self._keys else None
        return None if app is None else app.only_channel

    def _close_disabled(self) -> None:
        for connection, (key, tenant) in tuple(self._keys.items()):
            app = self.apps.by_key.get(key)
            if app is None or app.tenant != tenant:  # deleted, and perhaps created again in another tenant
                self.end(connection, protocol.NO_SUCH_APP)
            elif not app.enabled:
                self.end(connection, protocol.APP_DISABLED if app.is_readable else protocol.APP_UNREADABLE)
