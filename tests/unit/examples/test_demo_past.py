"""The past of the demo: the server of 30 days ago leaves what operators and apps did since."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from bellcast.audit.store import AuditLog
from bellcast.auth.store import Keys
from bellcast.examples.demo import activity, installation, past, story
from bellcast.examples.demo.history import PERIOD_MS
from bellcast.examples.demo.servers import DemoServers
from bellcast.kernel import times
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.times import DAY_MS
from bellcast.live_feed import ServedRequest
from bellcast.operators.store import Operators
from tests.clock import FakeClock
from tests.contract.app import wanted
from tests.store import Store


class Written(NamedTuple):
    """A folder with the past, and the requests that made it."""

    data: Path
    requests: list[ServedRequest]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    data = tmp_path_factory.mktemp("past")
    with DemoServers() as servers:
        settings = {"data": data, "port": 1, "http_allow": "127.0.0.1"}
        return Written(data, list(past.write(settings, servers.urls, is_busy=True)))


@pytest.fixture
async def engine(written: Written) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(written.data / "bellcast.db", FakeClock())
    await engine.open()
    yield engine
    await engine.close()


def is_spread(moments: list[int], share: float = 0.5) -> bool:
    """Return whether no hour has more than this share."""
    hours = [moment // 3_600_000 for moment in moments]
    return max(hours.count(hour) for hour in set(hours)) <= share * len(hours)


async def test_operators_have_roles_and_one_second_factor_but_no_owner(engine: SqliteEngine) -> None:
    operators = await Operators(engine).all()
    assert {one.name: one.role for one in operators} == {name: role for name, (role, *_) in story.OPERATORS.items()}
    assert [one.name for one in operators if one.has_mfa] == [story.CAREFUL]
    assert not await Operators(engine).has_owner()  # the one who starts the demo sets up the console
    assert len({one.seen_at for one in operators}) == len(operators)


async def test_audit_log_has_entries_of_a_month_without_gaps(engine: SqliteEngine) -> None:
    entries = (await AuditLog(engine).page(ListQuery(limit=200))).items
    assert len(entries) >= 40
    assert {entry.actor for entry in entries} >= {story.MARA, story.JONAS}
    assert max(entry.at for entry in entries) - min(entry.at for entry in entries) > 25 * DAY_MS
    assert [entry.number for entry in entries] == list(range(len(entries), 0, -1))
    assert {entry.outcome for entry in entries} == {"ok", "forbidden"}


async def test_keys_were_used_at_different_times_and_one_is_revoked(engine: SqliteEngine) -> None:
    stored = await Keys(engine).all()
    assert len([key for key in stored if key.revoked_at is not None]) == 1
    used = [times.milliseconds(key.used_at) for key in stored if key.used_at is not None]
    assert len(set(used)) == len(used) == len(installation.KEYS) + 1


def test_requests_are_spread_over_the_last_day(written: Written) -> None:
    now = SystemClock().now()
    of_day = [one for one in written.requests if one.at > now - DAY_MS]
    assert len(of_day) >= 40
    assert is_spread([one.at for one in of_day], 0.25)
    assert {one.status for one in of_day if one.is_refused} == {403, 404, 422}
    assert min(one.at for one in written.requests) > now - PERIOD_MS - DAY_MS
    assert max(one.at for one in written.requests) <= now


def test_notifications_are_read_after_they_were_sent(tmp_path: Path) -> None:
    with DemoServers() as servers:
        past.write({"data": tmp_path, "port": 1, "http_allow": "127.0.0.1"}, servers.urls, is_busy=False)
    counted = (
        "SELECT count(*), sum(seen_at < created_at), sum(read_at < created_at) FROM notifications WHERE seen_at NOTNULL"
    )
    with closing(sqlite3.connect(tmp_path / "bellcast.db")) as database:
        count, *early = database.execute(counted).fetchone()
    assert count > past.ROWS / 2
    assert early == [0, 0]


async def test_announcements_messages_and_runs_have_the_times_of_the_past(engine: SqliteEngine) -> None:
    store = Store(engine)
    announced = (await store.sent.announcements(ListQuery(limit=50))).items
    assert len(announced) >= len(activity.ANNOUNCEMENTS)
    assert is_spread([times.milliseconds(one.notification.created_at) for one in announced], 0.2)
    messages = (await store.messages.page(wanted("harbor", limit=200))).items
    runs = (await store.runs.page(wanted("harbor", limit=200))).items
    assert {"bounced", "failed", "sent"} >= {one.state for one in messages} >= {"bounced", "failed"}
    assert {"waiting", "failed"} <= {one.state for one in runs}
    assert is_spread([one.created_at for one in [*messages, *runs]])
