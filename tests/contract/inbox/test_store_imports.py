"""Importing notifications of another system, on every engine."""

from typing import Any

import pytest
from msgspec.structs import replace

from bellcast.inbox.types.inboxes import NotificationUpdated, Position, ResumeFrom
from bellcast.inbox.types.sends import ImportRequest, SendResult
from bellcast.kernel import times
from bellcast.kernel.errors import IdempotencyMismatch
from tests.contract.app import App, content

HOUR, DAY = 3_600_000, 24 * 3600
LONG_AGO = 1_700_000_000_000


def imported(app: App, *to: str, key: str | None = None, title: str = "Old", **values: Any) -> ImportRequest:
    ids = tuple(f"018bcfe5-6800-7000-8000-{number:012d}" for number in range(len(to)))
    body: dict[str, Any] = {"recipients": to, "ids": ids, "content": content(title=title, tags=("x",))}
    body |= {"tenant": "", "created_at": app.now, "sent_at": LONG_AGO, "idempotency_key": key, "response": b"stored"}
    return ImportRequest(**{**body, **values})


async def add(app: App, *requests: ImportRequest) -> list[SendResult | Exception]:
    return [one for results in [batch async for batch in app.store.sends.add_imported(requests)] for one in results]


@pytest.mark.parametrize(
    ("marks", "counts", "view"),
    [
        ({}, (1, 1), "unread"),
        ({"seen_at": LONG_AGO + 1}, (1, 0), "unread"),
        ({"seen_at": LONG_AGO + 1, "read_at": LONG_AGO + 2}, (0, 0), "read"),
        ({"archived_at": LONG_AGO + 3}, (0, 0), "archived"),
    ],
    ids=["unseen", "seen", "read", "archived"],
)
async def test_row_has_its_times_and_counts(
    app: App, marks: dict[str, int], counts: tuple[int, int], view: Any
) -> None:
    (sent,) = await add(app, imported(app, "alice", **marks))
    (row,) = await app.page("alice", view=view)
    assert await app.counts("alice") == counts
    assert row.created_at == times.to_rfc3339(LONG_AGO)
    assert [getattr(row, name) for name in marks] == [times.to_rfc3339(at) for at in marks.values()]
    assert sent == SendResult(b"stored", (NotificationUpdated((await app.inbox("alice")).state, row),))
    assert [one.id for one in await app.page("alice", view=view, tag="x")] == [row.id]


async def test_import_in_the_past_keeps_the_order_of_the_inbox(app: App) -> None:
    await app.send("alice", "New")
    await add(app, imported(app, "alice", "bob"))
    assert await app.titles("alice") == ["New", "Old"]
    assert (await app.store.recipients.get("", "bob")) is not None


async def test_resuming_client_receives_an_imported_row_as_a_change(app: App) -> None:
    await app.send("alice", "New")
    state = (await app.inbox("alice")).state
    await add(app, imported(app, "alice"))
    missed = (await app.open("alice", since=ResumeFrom(Position(state.epoch, state.revision), 100))).missed
    assert missed is not None
    assert [row.first_revision <= state.revision < row.revision for row in missed.rows] == [True]


async def test_repeated_key_imports_nothing_again_even_after_a_day(app: App) -> None:
    request = imported(app, "alice", "bob", key="k")
    await add(app, request)
    assert await add(app, request) == [SendResult(b"stored", ())]
    app.clock.advance(DAY + 1)
    again = replace(request, created_at=app.now)
    assert await add(app, again) == [SendResult(b"stored", ())]
    assert len(await app.page("alice")) == len(await app.page("bob")) == 1
    assert await app.counts("alice") == (1, 1)


async def test_key_of_another_body_fails_no_other_row(app: App) -> None:
    await add(app, imported(app, "alice", key="k"))
    other = imported(app, "alice", key="k", fingerprint=b"two", title="Other")
    first, second = await add(app, other, imported(app, "bob"))
    assert isinstance(first, IdempotencyMismatch)
    assert isinstance(second, SendResult)
    assert await app.titles("alice") == ["Old"]


async def test_keys_are_scoped_to_the_tenant(app: App) -> None:
    await add(app, imported(app, "alice", key="k", tenant="acme"))
    await add(app, imported(app, "alice", key="k", tenant="globex", title="Theirs"))
    assert await app.titles("alice", tenant="globex") == ["Theirs"]
    assert await app.titles("alice") == []
