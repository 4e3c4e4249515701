"""The generated past of the busy demo: its rows are as a server would have written them."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bellcast import replays
from bellcast.console.types import STORED_MS, StatsPoint, total
from bellcast.examples.demo import activity, history
from bellcast.examples.demo.history import PERIOD_MS
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.times import DAY_MS, HOUR_MS, MINUTE_MS
from bellcast.replays.store import FailureFilter, Replays
from bellcast.workflows.types import runs
from tests.clock import FakeClock
from tests.contract.app import wanted
from tests.store import Store

NOTIFICATIONS, RECIPIENTS = 10_000, 100
COUNTED = "SELECT count(*) FROM {} AND created_at >= :since"
ROWS = ("notifications WHERE 1", "runs WHERE 1", "messages WHERE state = 'sent'")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("past") / "bellcast.db"
    shown: list[tuple[int, int]] = []
    history.write(path, NOTIFICATIONS, lambda done, total: shown.append((done, total)), RECIPIENTS)
    assert shown == sorted(shown)
    assert shown[-1] == (NOTIFICATIONS, NOTIFICATIONS)
    return path


@pytest.fixture
async def store(database: Path) -> AsyncIterator[Store]:
    engine = SqliteEngine(database, FakeClock())
    await engine.open()
    yield Store(engine)
    await engine.close()


@pytest.mark.thorough
def test_database_has_the_schema_of_a_server_and_consistent_counters(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        migrations.check_schema(connection)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        wrong = connection.execute(
            "SELECT r.key FROM recipients r JOIN notifications n ON n.recipient = r.id GROUP BY r.id"
            " HAVING r.revision <> count(*) OR r.revision <> max(n.revision) OR r.unread <> sum(n.part = 0)"
            " OR r.unseen <> sum(n.seen_at IS NULL AND n.archived_at IS NULL)"
        ).fetchall()
        shares = connection.execute(
            "SELECT r.tenant, count(*) FROM recipients r JOIN notifications n ON n.recipient = r.id GROUP BY r.tenant"
        ).fetchall()
    assert wrong == []
    assert dict(shares) == {tenant: NOTIFICATIONS * share // 100 for tenant, share in activity.SHARES.items()}


async def test_lists_show_notifications_messages_runs_and_failures(store: Store) -> None:
    sent = (await store.sent.notifications(ListQuery(limit=200))).items
    assert [one.notification.id for one in sent] == sorted((one.notification.id for one in sent), reverse=True)
    assert {one.notification.read_at is None for one in sent} == {True, False}
    assert not any("{n}" in f"{one.notification.title} {one.notification.body}" for one in sent)
    messages = (await store.messages.page(wanted("aurora", limit=200))).items
    assert {"sent", "failed", "bounced"} >= {message.state for message in messages} >= {"sent"}
    assert all(message.attempts and message.notification for message in messages)
    decided = await store.messages.decisions("aurora", str(messages[0].notification), None, 10)
    assert [decision.message for decision in decided if decision.channel == "email"] == [messages[0].id]
    for one in (await store.runs.page(wanted("aurora", limit=200))).items:
        run = runs.decode(one.body)
        assert run.status == one.state
        assert one.state != "completed" or run.step("wait").reason == "condition"
        steps = [step for step in (run.step("bell"), run.step("mail")) if step.state == "done"]
        assert len(steps) == (2 if one.state == "completed" else 1)
        assert all(step.notification or step.messages for step in steps)
        places = {
            decision.channel for decision in await store.messages.decisions("aurora", steps[0].decided or "", None, 10)
        }
        assert places == ({"inbox", "email"} if one.state == "completed" else {"inbox"})
    causes, _ = await replays.failure_causes(store, ["aurora"], FailureFilter())
    assert {group.newest.kind for group in causes} == {"message", "run"}


async def test_charts_have_the_numbers_of_the_rows_of_thirty_days(store: Store, database: Path) -> None:
    now = SystemClock().now()
    for step, kept in STORED_MS.items():
        points = await store.stats.page(step, now - min(kept, PERIOD_MS), now, None, 10_000)
        assert len(points) >= min(kept, PERIOD_MS) // step - 3
        assert all(point.connections > 0 for _, point in points)
        if step > MINUTE_MS:  # of minutes, there are only two days
            numbers = total(point for _, point in points)
            since = points[0][0]
            listed = await Replays(store).count_failures(
                list(activity.SHARES), FailureFilter(since=since), NOTIFICATIONS
            )
            assert numbers.failures == listed
            with closing(sqlite3.connect(database)) as connection:
                counted = [connection.execute(COUNTED.format(rows), {"since": since}).fetchone()[0] for rows in ROWS]
            assert [numbers.sends, numbers.runs, numbers.deliveries] == counted
    days = [
        await store.stats.page(15 * MINUTE_MS, now - age, now - age + DAY_MS, None, 100) for age in (2 * DAY_MS, DAY_MS)
    ]
    before, last = (total(point for _, point in day).sends for day in days)
    assert last > before > 0  # the traffic continues the curve
    since = (now - 29 * DAY_MS) // HOUR_MS * HOUR_MS
    of_all = total(point for _, point in await store.stats.page(15 * MINUTE_MS, since, now, None, 10_000))
    of_tenants = list[StatsPoint]()
    for tenant in activity.SHARES:
        hours = await store.stats.tenant_page(tenant, since, now, None, 2_000)
        assert hours is not None
        assert len(hours) >= 29 * 24
        of_tenants += (point for _, point in hours)
    parts = total(of_tenants)
    assert (of_all.sends, of_all.refusals) == (parts.sends, parts.refusals)
    assert of_all.refusals > 0
