"""The Pusher apps in memory: the order of reloads, the tenant of an app's connections, and apps that are only being tested."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bellcast import settings
from bellcast.documents.types import Document
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.identities import Project
from bellcast.live.pusher import protocol
from bellcast.live.pusher.apps import KIND, ConnectedApps, PusherApp, PusherAppDirectory, StoredApp
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.server.app import create_app
from tests import fake_stores
from tests.clock import FakeClock

PROJECT = Project("1", "project-key", "project-secret")
ENCRYPTION = Encryption(b"key")
TESTED = PusherApp(credentials=Project("777", "tested-key", "the secret of a test"))


class Documents:
    """The stored apps. The next reader reads the rows immediately, and returns them when `gate` is set."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Document]] = []
        self.gate: asyncio.Event | None = None

    def put(self, tenant: str, *, enabled: bool = True) -> None:
        secret = ENCRYPTION.encrypt("the secret of an app", f"{KIND}/{tenant}/7")
        body = msgspec.json.encode(StoredApp(key="app-key", secret=secret, name="App", enabled=enabled))
        self.rows = [(tenant, Document(key="7", body=body, created_at=1, updated_at=1))]

    async def every(self, kind: str) -> AsyncIterator[tuple[str, Document]]:
        found, gate, self.gate = list(self.rows), self.gate, None
        if gate is not None:
            await gate.wait()
        for one in found:
            yield one


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def directory(documents: Documents) -> PusherAppDirectory:
    store = fake_stores.db(SimpleNamespace(documents=documents))
    return PusherAppDirectory(store, FakeClock(), ENCRYPTION, PROJECT, lambda: None)


async def test_slow_reload_does_not_restore_older_apps(documents: Documents, directory: PusherAppDirectory) -> None:
    documents.put("acme")
    gate = documents.gate = asyncio.Event()
    slow = asyncio.create_task(directory.reload())
    await asyncio.sleep(0)  # it has read the enabled app
    documents.put("acme", enabled=False)
    newest = asyncio.create_task(directory.reload())
    for _ in range(10):
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(slow, newest)
    app = directory.by_key.get("app-key")
    assert app is not None
    assert not app.enabled
    assert directory.by_key.get("app-key") == app


async def test_app_created_again_in_another_tenant_ends_its_connections(
    documents: Documents, directory: PusherAppDirectory
) -> None:
    documents.put("acme")
    await directory.reload()
    ended: list[tuple[Any, Any]] = []
    apps = ConnectedApps(PROJECT, directory, FakeClock(), lambda *end: ended.append(end))
    connection, app = cast(Any, "a connection of Acme"), directory.by_key.get("app-key")
    assert app is not None
    apps.add(connection, app)
    documents.put("globex")
    await directory.reload()
    assert ended == [(connection, protocol.NO_SUCH_APP)]


@pytest.mark.parametrize("is_own", [True, False])
async def test_tested_values_are_accepted_on_the_own_url_only_and_for_one_channel(
    tmp_path: Path, *, is_own: bool
) -> None:
    accepted: list[PusherApp | None] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(app._live.services[PusherAppDirectory].by_key.get(TESTED.credentials.key))
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        own = url if is_own else "http://127.0.0.1:1"
        app = create_app(settings.load({"data": str(tmp_path / "data"), "public_url": own}, {}))
        await app.start()
        try:
            report = await app._live.services[ConnectionTests].run(TESTED, url, is_trusted=True)
        finally:
            await app.stop()
    assert report.state == "failed"
    assert {None if one is None else one.only_channel for one in accepted} == {
        "private-bellcast-test" if is_own else None
    }
    assert app._live.services[PusherAppDirectory].by_key.get(TESTED.credentials.key) is None


async def test_stored_app_replaces_a_test_of_its_credentials(
    documents: Documents, directory: PusherAppDirectory
) -> None:
    tested = PusherApp(credentials=Project("8", "app-key", "the secret of a test"))
    with directory.trial(tested, "private-bellcast-test"):
        documents.put("acme")
        await directory.reload()
        app = directory.by_key.get("app-key")
        assert app is not None
        assert (app.tenant, app.only_channel) == ("acme", None)


async def test_app_with_the_key_of_an_older_one_signs_nothing(
    documents: Documents, directory: PusherAppDirectory
) -> None:
    def stored(tenant: str, id: str, key: str, created_at: int) -> tuple[str, Document]:
        secret = ENCRYPTION.encrypt(f"the secret of {id}", f"{KIND}/{tenant}/{id}")
        body = msgspec.json.encode(StoredApp(key=key, secret=secret, name=id))
        return tenant, Document(key=id, body=body, created_at=created_at, updated_at=created_at)

    documents.rows = [stored("globex", "7", "shared", 1), stored("acme", "8", "shared", 2)]
    await directory.reload()
    assert directory.of_tenant("acme") is None
    documents.rows.append(stored("acme", "9", "own", 3))
    await directory.reload()
    app = directory.of_tenant("acme")
    assert app is not None
    assert app == directory.by_key.get("own")
