"""The Pusher apps of a server: the project's own, and those in the store."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from bellcast.model.pusher import PusherApp


class PusherAppChanges(Struct, frozen=True, kw_only=True):
    """Fields to change. None leaves a field as it is."""

    name: str | None = None
    enabled: bool | None = None
    origins: tuple[str, ...] | None = None


class StoredPusherApp(Struct, frozen=True, kw_only=True):
    """An app with its state. `overridden`: the project's app or an older app has the same id or key. `unreadable`: its
    secret was encrypted with a key that the server does not have."""

    app: PusherApp
    state: Literal["active", "disabled", "overridden", "unreadable"]
    is_project: bool = False


class PusherApps(Protocol):
    """Finds apps for requests and connections. Reads memory only; changes of other nodes arrive within seconds."""

    def by_id(self, id: str) -> PusherApp | None: ...

    def by_key(self, key: str) -> PusherApp | None: ...

    def of_tenant(self, tenant: str) -> PusherApp | None:
        """Return the app for signing in a tenant: the project's for the default tenant, else the oldest enabled one whose
        id and key no older app has."""
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change of the apps."""
        ...


class PusherAppDirectory(PusherApps, Protocol):
    """Manages the apps in the store. The project's app is part of the server's configuration, and takes precedence."""

    def all(self) -> Sequence[StoredPusherApp]:
        """Return the apps, the project's first, then the oldest first."""
        ...

    async def create(self, app: PusherApp) -> PusherApp:
        """Create an app. Raises Conflict if another app has its id or its key."""
        ...

    async def change(self, id: str, changes: PusherAppChanges) -> PusherApp:
        """Raises NotFound, and Conflict for the project's app."""
        ...

    async def rotate(self, id: str) -> PusherApp:
        """Replace the secret; the previous one stays valid for a day. Raises NotFound, and Conflict for the project's app."""
        ...

    async def delete(self, id: str) -> None:
        """Raises NotFound, and Conflict for the project's app."""
        ...

    async def refresh(self) -> None:
        """Reload the apps on all nodes, after the store deleted some with their tenant."""
        ...
