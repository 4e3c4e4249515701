"""One inbox in all four dialects, by stock clients in Chromium: every badge follows every other, even after the server
is killed.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.chromium import chromium
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire import pusher_clients, socketio_client

PAGE = Path(__file__).with_name("four_dialects.js")
DIALECTS = ("sse", "websocket", "pusher", "socketio")
# seconds; EventSource waits up to 4.5 s before it reconnects, longer on a loaded machine
TIMEOUT = 60


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page()


class Recipient:
    """A recipient with four clients, and the app that notifies it."""

    def __init__(self, server: ServerProcess, page: Page, name: str) -> None:
        self.name = name
        self._server = server
        self._page = page
        page.route("**/four", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        page.goto(server.url + "/four")
        for script in (
            pusher_clients.installed() / "node_modules/pusher-js/dist/web/pusher.js",
            socketio_client.installed() / "socket.io-client/dist/socket.io.js",
            PAGE,
        ):
            page.add_script_tag(path=script)
        page.evaluate("([token, options]) => openAll(token, options)", [server.token(name), {"key": server.key}])

    def notify(self, title: str) -> str:
        draft = {"to": self.name, "title": title}
        response = httpx.post(f"{self._server.url}/v1/notifications", json=draft, headers=self._server.as_app())
        id: str = response.json()["notifications"][0]["id"]
        return id

    def mark(self, action: str, **what: Any) -> None:
        headers = self._server.as_recipient(self.name)
        assert httpx.post(f"{self._server.url}/v1/inbox/{action}", json=what, headers=headers).status_code == 200

    def evaluate(self, script: str) -> None:
        self._page.evaluate(script)

    def of_each(self, what: str) -> dict[str, Any]:
        """Return a property of each client."""
        values: dict[str, Any] = self._page.evaluate(
            f"Object.fromEntries(Object.entries(inboxes).map(([n, i]) => [n, i.{what}]))"
        )
        return values

    def all_reconnected_since(self, opened: dict[str, int]) -> bool:
        """Return True if every client has reconnected since then."""
        return eventually(lambda: all(now > opened[client] for client, now in self.of_each("opened").items()), TIMEOUT)

    def is_acknowledged(self, server: ServerProcess) -> bool:
        """Return True if the server has recorded every delivery to the Pusher client, which has no position of its
        own to send.
        """
        query = "SELECT max(d.revision) = i.revision FROM recipients i JOIN devices d ON d.inbox = i.id"
        with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store:
            return bool(store.execute(query).fetchone()[0])

    def snapshot(self) -> dict[str, Any]:
        """Fetch the inbox."""
        headers = self._server.as_recipient(self.name)
        inbox = httpx.get(f"{self._server.url}/v1/inbox?limit=100", headers=headers).json()
        rows = sorted([row["id"], row["title"], row["read_at"] is not None] for row in inbox["notifications"])
        return {"unread": inbox["unread"], "rows": rows}

    def all_show(self, unread: int) -> bool:
        """Return True if every client shows the inbox of a fresh snapshot, with this many unread notifications."""
        snapshot = self.snapshot()
        assert snapshot["unread"] == unread
        same = eventually(lambda: self.of_each("state") == dict.fromkeys(DIALECTS, snapshot), TIMEOUT)
        assert same, (snapshot, self.of_each("state"))
        return same


@pytest.fixture
def alice(start_server: Callable[..., ServerProcess], page: Page) -> tuple[Recipient, ServerProcess]:
    server = start_server(BELLCAST_TOPIC_HISTORY="*=off")  # a restart ends a history, and with it Socket.IO's recovery
    alice = Recipient(server, page, "alice")
    assert alice.all_show(unread=0)
    return alice, server


def test_notification_and_read_marks_move_the_badge_in_all_four_dialects(
    alice: tuple[Recipient, ServerProcess],
) -> None:
    recipient, _ = alice
    first, second, third = (recipient.notify(title) for title in ("First", "Second", "Third"))
    assert recipient.all_show(unread=3)
    recipient.evaluate(f"inboxes.socketio.socket.emit('read', {{ ids: ['{first}'] }})")
    assert eventually(lambda: recipient.snapshot()["unread"] == 2)
    assert recipient.all_show(unread=2)
    recipient.evaluate(f"inboxes.websocket.socket.send(JSON.stringify({{ type: 'archive', ids: ['{second}'] }}))")
    assert eventually(lambda: recipient.snapshot()["unread"] == 1)
    assert recipient.all_show(unread=1)
    recipient.mark("read", ids=[third])  # as the pages of the two receive-only clients do
    assert recipient.all_show(unread=0)


def test_clients_of_all_four_dialects_recover_after_a_killed_server(alice: tuple[Recipient, ServerProcess]) -> None:
    recipient, server = alice
    read, archived = recipient.notify("Kept"), recipient.notify("Gone")
    assert recipient.all_show(unread=2)
    assert eventually(lambda: recipient.is_acknowledged(server))
    fetched = recipient.of_each("fetched")
    opened = recipient.of_each("opened")
    recipient.notify("Just before")  # received by some clients or by none
    server.restart()
    recipient.notify("Just after")
    recipient.mark("read", ids=[read])
    recipient.mark("archive", ids=[archived])
    assert recipient.all_reconnected_since(opened)
    assert recipient.all_show(unread=2)
    assert recipient.of_each("recovered")["socketio"] is True
    assert recipient.of_each("fetched") == fetched  # each received the missed changes without another fetch
