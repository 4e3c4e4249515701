"""The reminders of the example apps: schedules in Bellcast that follow the appointments."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bellcast.client import Bellcast, Retries, Unavailable
from bellcast.contrib import dbapi
from bellcast.contrib.outbox import OutboxRows
from bellcast.contrib.relay import Relay
from bellcast.examples import photo_studio, service_marketplace
from bellcast.examples.app_kit import Database, Outbox, Reminder, Reminders, reminders
from bellcast.examples.photo_studio.notifications import reminders as studio_reminders
from bellcast.examples.service_marketplace.reminders import upcoming as marketplace_reminders
from tests.app_servers import app_server
from tests.servers import ServerProcess, free_port

VIENNA = ZoneInfo("Europe/Vienna")
ALICE = {"to": "alice", "title": "Tomorrow", "body": "Hotel Regent", "channels": ["inbox"]}


@pytest.mark.parametrize(("app", "file"), [(photo_studio, "oriel.db"), (service_marketplace, "gable.db")])
def test_reading_the_appointments_does_not_wake_the_outbox(tmp_path: Path, app: Any, file: str):
    app.create_app("http://127.0.0.1:1", "a secret of at least forty characters in all", tmp_path)
    database, commits = Database(tmp_path / file, ""), list[int]()
    database.on_commit(lambda: commits.append(1))
    now = datetime.now(UTC)
    upcoming = studio_reminders if app is photo_studio else marketplace_reminders
    assert len(list(upcoming(database, now))) == (2 if app is photo_studio else 4)  # the sample bookings
    assert commits == []


@pytest.fixture
def distant_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the process is not that of the apps."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("distant_process")
@pytest.mark.parametrize(
    ("app", "file", "hours"), [(photo_studio, "oriel.db", {15}), (service_marketplace, "gable.db", {8, 10})]
)
def test_appointments_are_in_the_time_zone_of_the_app(tmp_path: Path, app: Any, file: str, hours: set[int]):
    app.create_app("http://127.0.0.1:1", "a secret of at least forty characters in all", tmp_path)
    upcoming = studio_reminders if app is photo_studio else marketplace_reminders
    reminders = upcoming(Database(tmp_path / file, ""), datetime.now(UTC))
    assert {one.at.astimezone(ZoneInfo("Europe/Berlin")).hour for one in reminders} == hours


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[ServerProcess]:
    with app_server(tmp_path_factory.mktemp("reminders"), two_workers=two_workers) as server:
        yield server


@pytest.fixture
def bell(server: ServerProcess) -> Iterator[Bellcast]:
    with Bellcast(server.url, server.secret) as bell:
        yield bell


class Calendar:
    """The appointments of an app, and their reminders."""

    def __init__(self, folder: Path, tenant: str, now: datetime) -> None:
        self.now = now
        self.upcoming: list[Reminder] = []
        self.tenant = tenant
        self.database = Database(folder / "app.db", reminders.SCHEMA)
        self._reminders = Reminders(self.database, tenant, lambda _: self.upcoming, lambda: self.now)

    def reconcile(self, bell: Bellcast) -> None:
        """Do what the app's outbox does after its rows, and then the next round of rows."""
        self._reminders.reconcile(bell)
        connection = self.database.connect()
        connection.row_factory = None
        with closing(OutboxRows(connection, "sqlite")) as rows:
            Relay(rows, bell).run()

    def schedules(self, bell: Bellcast) -> dict[str, str]:
        """The times of the reminders in Bellcast."""
        return {one["key"]: one["next_at"] for one in bell.schedules.list(tenant=self.tenant)["schedules"]}

    def titles(self, bell: Bellcast) -> list[str]:
        return [one.title for one in bell.inbox(bell.token("alice", tenant=self.tenant)).list().notifications]


def test_reminder_is_scheduled_in_utc_and_follows_its_appointment(tmp_path: Path, bell: Bellcast):
    calendar = Calendar(tmp_path, "follows", datetime.now(UTC))
    at = datetime.combine((calendar.now + timedelta(days=20)).date(), datetime.min.time(), VIENNA).replace(hour=10)
    calendar.upcoming = [Reminder("one", at, ALICE)]
    calendar.reconcile(bell)
    (next_at,) = calendar.schedules(bell).values()
    assert datetime.fromisoformat(next_at) == at
    calendar.upcoming = [Reminder("one", at + timedelta(days=1), ALICE)]
    calendar.reconcile(bell)
    (next_at,) = calendar.schedules(bell).values()
    assert datetime.fromisoformat(next_at) == at + timedelta(days=1)
    calendar.upcoming = []
    calendar.reconcile(bell)
    assert calendar.schedules(bell) == {}


def test_reminder_whose_time_has_passed_is_sent_at_once_and_once(tmp_path: Path, bell: Bellcast):
    calendar = Calendar(tmp_path, "late", datetime.now(UTC))
    calendar.upcoming = [Reminder("one", calendar.now - timedelta(minutes=30), ALICE)]
    for body in ("Hotel Regent", "Old Mill"):
        calendar.upcoming = [calendar.upcoming[0]._replace(notification=ALICE | {"body": body})]
        calendar.reconcile(bell)
    assert calendar.titles(bell) == ["Tomorrow"]
    assert calendar.schedules(bell) == {}


def test_late_reminder_comes_after_the_confirmation_that_still_waits_in_the_outbox(tmp_path: Path, bell: Bellcast):
    calendar = Calendar(tmp_path, "ordered", datetime.now(UTC))
    with calendar.database.transaction() as connection:  # between the app's last round of rows and its reminders
        dbapi.notify(connection, "alice", title="Confirmed", tenant="ordered")
    calendar.upcoming = [Reminder("one", calendar.now - timedelta(minutes=30), ALICE)]
    calendar.reconcile(bell)
    assert calendar.titles(bell) == ["Tomorrow", "Confirmed"]  # the newest first


def test_refused_reminder_does_not_hold_up_the_others(tmp_path: Path, bell: Bellcast):
    calendar = Calendar(tmp_path, "refused", datetime.now(UTC))
    soon = calendar.now + timedelta(days=2)
    calendar.upcoming = [
        Reminder("bad", soon, ALICE | {"priority": "deafening"}), Reminder("distant", soon + timedelta(days=362), ALICE),
        Reminder("good", soon, ALICE), Reminder("wrong", calendar.now, ALICE | {"priority": "deafening"}),
    ]  # fmt: skip
    calendar.reconcile(bell)
    assert set(calendar.schedules(bell)) == {"good"}
    assert calendar.titles(bell) == []
    calendar.now += timedelta(days=10)  # the distant one is near enough now
    calendar.reconcile(bell)
    assert set(calendar.schedules(bell)) == {"good", "distant"}


def test_reminder_waits_for_the_end_of_an_outage(tmp_path: Path, server: ServerProcess, bell: Bellcast):
    calendar = Calendar(tmp_path, "outage", datetime.now(UTC))
    calendar.upcoming = [Reminder("one", calendar.now + timedelta(days=2), ALICE)]
    with (
        Bellcast(f"http://127.0.0.1:{free_port()}", server.secret, retries=Retries(tries=1)) as unreachable,
        pytest.raises(Unavailable),
    ):
        calendar.reconcile(unreachable)
    calendar.reconcile(bell)
    assert set(calendar.schedules(bell)) == {"one"}


def test_outbox_continues_after_an_unexpected_error_of_the_app(tmp_path: Path, bell: Bellcast):
    database, rounds = Database(tmp_path / "app.db", ""), Queue[int]()

    def fail(bell: Bellcast) -> None:
        rounds.put(1)
        raise OverflowError("date value out of range")

    outbox = Outbox(database, bell, lambda bell: None, fail)
    outbox.start()
    rounds.get(timeout=40)
    with database.transaction():
        pass  # its commit wakes the outbox
    rounds.get(timeout=40)
    outbox.stop()
