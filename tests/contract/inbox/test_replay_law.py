"""Exact replay: a client that deduplicates nothing, cut anywhere and any number of times, receives each row as a
`notification` at most once, never as an update before that, and ends with a fresh snapshot."""

import random
from typing import Any

import msgspec
import pytest

from bellcast.inbox.types import Edit
from bellcast.inbox.types.inboxes import Query, ResumeFrom, parse_position
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.connection import Phase
from tests.contract.app import App
from tests.unit.live.fakes import connect, new_hub

HISTORIES = 6
ROUNDS = 6


class Client:
    """Rows by id, as the snapshot and the frames had them."""

    def __init__(self, rows: list[Any], position: str) -> None:
        self.rows = {row["id"]: row for row in rows}
        self.shown = set(self.rows)
        self.position = position

    def receive(self, frame: dict[str, Any]) -> None:
        self.position = frame["position"]
        match frame["type"]:
            case "notification":
                row = frame["notification"]
                assert row["id"] not in self.shown, "the row was sent as new twice"
                self.shown.add(row["id"])
                self.rows[row["id"]] = row
            case "notification-update":
                row = frame["notification"]
                assert row["id"] in self.rows, "an update preceded its row"
                self.rows[row["id"]] = row
            case "notification-delete":
                self.rows.pop(frame["id"], None)
            case other:
                raise AssertionError(other)


class History:
    """Random changes of one inbox, and its client."""

    def __init__(self, app: App, key: str, seed: int) -> None:
        self.app, self.key, self.rng = app, key, random.Random(seed)

    async def change(self) -> None:
        app, rng = self.app, self.rng
        rows = await self.everything()
        some = rng.choice(rows)["id"] if rows else ""
        match rng.randint(0, 6) if rows else 0:
            case 0 | 1 | 2:
                await app.send(self.key)
            case 3:
                await app.mark(self.key, rng.choice(["read", "unread", "archive"]), ids=(some,))
            case 4:
                await app.mark(self.key, "delete", ids=(some,))
            case 5:
                await app.mark(self.key, rng.choice(["read", "unread"]))
            case 6:
                await app.store.sent.edit("", some, Edit(title=f"edited {rng.random()}"), app.now)

    async def everything(self) -> list[Any]:
        number = (await self.app.inbox(self.key)).number
        views = ("all", "archived")
        pages = [await self.app.store.inboxes.page(number, Query(view=view, limit=1000)) for view in views]
        rows = [row for page in pages for row in page.notifications]
        return list(msgspec.json.decode(msgspec.json.encode(rows)))

    async def frames(self, client: Client) -> list[dict[str, Any]]:
        """Resume as a connection does; return everything that it sends."""
        position = parse_position(client.position)
        assert position is not None
        opened = await self.app.open(self.key, since=ResumeFrom(position, 1000))
        assert opened.missed is not None
        connection = connect(new_hub(), phase=Phase.OPENING)
        connection.inbox, connection.epoch = opened.inbox.number, opened.inbox.state.epoch
        connection.revision = position.revision
        await resume.replay(self.app.store, connection, opened.missed, position, Limits())
        return connection.fake.frames


@pytest.mark.parametrize("seed", range(2))
async def test_client_without_deduplication_receives_each_row_once_under_any_cuts(app: App, seed: int) -> None:
    for number in range(HISTORIES // 2):
        history = History(app, f"alice{number}", seed * HISTORIES + number)
        client = Client(await history.everything(), (await app.inbox(history.key)).state.position)
        for _ in range(ROUNDS):
            for _ in range(history.rng.randint(0, 6)):
                await history.change()
            frames = await history.frames(client)
            for frame in frames[: history.rng.randint(0, len(frames))]:
                client.receive(frame)
        for frame in await history.frames(client):
            client.receive(frame)
        fresh = {row["id"]: row for row in await history.everything()}
        assert client.rows == fresh
        assert await history.frames(client) == [] or client.position == (await app.inbox(history.key)).state.position


async def test_every_single_cut_of_a_replay_continues_exactly(app: App) -> None:
    history = History(app, "alice", 7)
    for _ in range(6):
        await app.send("alice")
    rows, position = await history.everything(), (await app.inbox("alice")).state.position
    for _ in range(15):
        await history.change()
    cut_at = len(await history.frames(Client(rows, position)))
    for cut in range(cut_at + 1):
        client = Client(rows, position)
        for frame in (await history.frames(client))[:cut]:
            client.receive(frame)
        await history.change()
        for frame in await history.frames(client):
            client.receive(frame)
        assert client.rows == {row["id"]: row for row in await history.everything()}
