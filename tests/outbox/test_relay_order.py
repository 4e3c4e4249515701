"""The relay of the outbox table preserves the order of the rows despite failures and other relays."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bellcast import cli
from bellcast.client import Bellcast, Retries, Unreadable
from bellcast.contrib import dbapi, outbox, relay
from bellcast.contrib.outbox import HELD_POLL, LEASE, OutboxRows, Row
from bellcast.contrib.relay import FIRST_BACKOFF, LONGEST_BACKOFF, Relay
from tests.outbox.conftest import Database
from tests.servers import free_port


class Shop:
    """A file with an outbox, a clock for its relays, and a server that refuses titles with a status."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.time = datetime(2030, 1, 1, tzinfo=UTC)
        self.refused: dict[str, int] = {}
        self.sent: list[str] = []
        self.keys: list[str] = []
        self.retry_after = 1
        self.meanwhile: Callable[[], object] = lambda: None
        self.connection = sqlite3.connect(file)
        self.connection.executescript(outbox.table_sql("sqlite"))
        self.bell = Bellcast(
            "http://bell", "s" * 43, retries=Retries(tries=1), transport=httpx.MockTransport(self.respond)
        )

    def close(self) -> None:
        self.bell.close()
        self.connection.close()

    def write(self, *titles: str) -> None:
        for title in titles:
            dbapi.notify(self.connection, "alice", title=title)
        self.connection.commit()

    def respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/recipients/bulk":
            return httpx.Response(200, json={"results": [{"key": "a"}]})
        drafts = [json.loads(line) for line in request.content.splitlines()]
        titles = [draft["title"] for draft in drafts]
        self.keys += [draft["idempotency_key"] for draft in drafts]
        if 503 in (statuses := [self.refused.get(title, 200) for title in titles]):
            return httpx.Response(503, json={"status": 503, "code": "unavailable"})
        self.meanwhile()
        self.sent += [title for title, status in zip(titles, statuses, strict=True) if status == 200]
        return httpx.Response(200, json={"results": [result(status, self.retry_after) for status in statuses]})

    def relay(self) -> tuple[OutboxRows, Relay]:
        rows = ClockedRows(self)
        return rows, Relay(rows, self.bell)

    def run(self, seconds: float = 0) -> float | None:
        """Run one round of a relay after this many seconds, and return its wait."""
        self.time += timedelta(seconds=seconds)
        rows, relay = self.relay()
        wait = relay.run().wait
        rows.close()
        return wait

    def errors(self) -> list[str]:
        return [
            error
            for (error,) in self.connection.execute("SELECT error FROM bellcast_outbox WHERE refused_at IS NOT NULL")
        ]


class ClockedRows(OutboxRows):
    def __init__(self, shop: Shop) -> None:
        super().__init__(sqlite3.connect(shop.file, isolation_level=None), "sqlite")
        self._shop = shop

    def now(self) -> datetime:
        return self._shop.time


def result(status: int, retry_after: int) -> dict[str, object]:
    if status == 200:
        return {"id": "n"}
    error = {"status": status, "code": "refused", "detail": f"status {status}"}
    return {"error": error | ({"retry_after": retry_after} if status == 429 else {})}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop.db")
    yield shop
    shop.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_rows_after_a_failed_one_wait_for_it(shop: Shop, status: int) -> None:
    shop.refused["b"] = status
    shop.write("b", "c")
    shop.refused["c"] = status  # the server refuses rows after one that it could not store
    assert shop.run() == 1
    shop.refused = {}
    shop.write("d")
    assert shop.run() == HELD_POLL
    assert shop.sent == []
    shop.run(1)
    assert shop.sent == ["b", "c", "d"]


def test_refused_row_is_set_aside_and_keeps_its_reason(shop: Shop) -> None:
    shop.refused = {"a": 403, "c": 429}
    shop.write("a", "b", "c")
    assert shop.run() == 1
    assert shop.sent == ["b"]
    assert shop.errors() == ["status 403"]
    shop.refused = {}
    shop.run(1)
    assert shop.sent == ["b", "c"]


def test_row_for_later_holds_no_other(shop: Shop) -> None:
    shop.write("a")
    shop.connection.execute("UPDATE bellcast_outbox SET next_attempt_at = '2030-01-01 00:00:30.000000'")
    shop.write("b")
    assert shop.run() == 0
    assert shop.run() == 30
    shop.run(30)
    assert shop.sent == ["b", "a"]


def test_row_over_a_daily_budget_waits_alone_until_the_next_day(shop: Shop) -> None:
    shop.write("over", "other")
    shop.refused["over"], shop.retry_after = 429, 7200
    shop.run()
    assert shop.sent == ["other"]
    shop.refused.clear()
    shop.write("later")
    shop.run(7199)
    assert shop.sent == ["other", "later"]
    shop.run(2)
    assert shop.sent == ["other", "later", "over"]


def test_rows_that_a_clock_ahead_planned_are_sent_in_order(shop: Shop) -> None:
    shop.write("leased ahead", "written ahead", "for later", "over", "over ahead")
    shop.connection.executescript("""
        UPDATE bellcast_outbox SET created_at = '2030-01-01', next_attempt_at = '2030-01-05';
        UPDATE bellcast_outbox SET attempts = 1 WHERE id = 1;
        UPDATE bellcast_outbox SET created_at = next_attempt_at WHERE id = 2;
        UPDATE bellcast_outbox SET error = 'daily budget' WHERE id IN (4, 5);
        UPDATE bellcast_outbox SET next_attempt_at = '2030-01-01 23:59:59' WHERE id = 4;
    """)
    shop.write("now")
    shop.run()
    assert shop.sent == ["leased ahead", "written ahead", "over ahead", "now"]
    shop.run(86_400)
    assert shop.sent[4:] == ["over"]
    shop.run(4 * 86_400)
    assert shop.sent[5:] == ["for later"]


def test_relay_searches_for_rows_of_a_clock_ahead_once_a_minute(shop: Shop) -> None:
    rows, relay = shop.relay()
    waiting = []
    for seconds in (0, 59, 1, -3600):
        shop.time += timedelta(seconds=seconds)
        shop.write("a")
        shop.connection.execute("UPDATE bellcast_outbox SET next_attempt_at = '2030-01-05', created_at = '2030-01-05'")
        shop.connection.commit()
        relay.run()
        waiting += shop.connection.execute("SELECT count(*) FROM bellcast_outbox").fetchone()
    rows.close()
    assert waiting == [0, 1, 0, 0]


def test_rows_that_another_relay_sends_hold_later_rows(shop: Shop) -> None:
    shop.write("a")
    waits = []

    def run_another() -> None:
        shop.meanwhile = lambda: None
        shop.write("b")
        waits.append(shop.run())

    shop.meanwhile = run_another
    assert shop.run() == 0  # checks for rows that the other relay has not taken
    assert (waits, shop.sent) == ([HELD_POLL], ["a"])
    shop.run()
    assert shop.sent == ["a", "b"]


def test_rows_of_a_relay_that_died_are_sent_after_its_lease(shop: Shop) -> None:
    shop.write("a")
    rows, _ = shop.relay()
    assert [row.payload["title"] for row in rows.lease(1)] == ["a"]
    rows.close()
    shop.write("b")
    assert shop.run(LEASE.total_seconds() - 1) == HELD_POLL
    shop.run(1)
    assert shop.sent == ["a", "b"]


def test_relay_releases_rows_after_those_that_another_leased_at_the_same_time(shop: Shop) -> None:
    shop.write("a")
    (first, _), (second, _) = shop.relay(), shop.relay()
    held = second._held

    def lease_first(now: datetime) -> int | None:
        result = held(now)
        shop.time += timedelta(milliseconds=1)
        assert [row.payload["title"] for row in first.lease(1)] == ["a"]
        return result

    second._held = lease_first  # type: ignore[method-assign]  # between the reads and the update of the second
    shop.write("b")
    assert second.lease(2) == []
    first.delete([1])
    assert [row.payload["title"] for row in first.lease(2)] == ["b"]
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        *((payload, "payload: must be") for payload in ("5", "[1]", '"x"', "null", "[" * 900 + "]" * 900)),
        (f'{{"title": {"9" * 5000}}}', "payload: must be"),
        ('{"addresses": 5}', "addresses: must be"),
        ('{"addresses": {"a": 5}}', "addresses: must be"),
        (r'{"title": "half an emoji \ud83d"}', "payload: cannot be written as JSON"),
        ('{"title": 1e999}', "payload: cannot be written as JSON"),
        ('{"tenant": ["x"], "addresses": {"a": {"email": "a@example.com"}}}', "tenant: must be"),
    ],
)
def test_row_whose_payload_cannot_be_sent_is_refused_and_holds_no_other(shop: Shop, payload: str, reason: str) -> None:
    shop.connection.execute("INSERT INTO bellcast_outbox (key, kind, payload) VALUES ('k', 'notify', ?)", (payload,))
    shop.write("b")
    shop.run()
    assert shop.sent == ["b"]
    (error,) = shop.errors()
    assert reason in error


def test_row_that_python_cannot_decode_holds_no_other_on_postgresql(shop: Shop, empty_database: Database) -> None:
    for statement in outbox.table_sql("postgresql").split(";\n")[:-1]:
        empty_database.run(statement)
    for payload in (f'{{"title": {"9" * 5000}}}', '{"title": "b"}'):
        insert = outbox.insert_sql("postgresql", ["gen_random_uuid()", "'notify'", "%s"])
        empty_database.run(insert, payload)
    rows = outbox.connect(empty_database.url)
    assert len(Relay(rows, shop.bell).run().refused) == 1
    rows.close()
    assert shop.sent == ["b"]


def test_refused_row_is_replaced_by_a_send_with_its_key_on_postgresql(shop: Shop, empty_database: Database) -> None:
    for statement in outbox.table_sql("postgresql").split(";\n")[:-1]:
        empty_database.run(statement)
    insert = outbox.insert_sql("postgresql", [f"'{outbox.row_key('booking-7')}'", "'notify'", "%s"])
    empty_database.run(insert, f'{{"title": {"9" * 5000}}}')  # Python cannot decode it
    rows = outbox.connect(empty_database.url)
    assert len(Relay(rows, shop.bell).run().refused) == 1
    for title in ("b", "c"):
        empty_database.run(insert, f'{{"to": "alice", "title": "{title}"}}')
    Relay(rows, shop.bell).run()
    rows.close()
    assert shop.sent == ["b"]


def test_row_that_a_clock_ahead_planned_is_sent_on_postgresql(shop: Shop, empty_database: Database) -> None:
    for statement in outbox.table_sql("postgresql").split(";\n")[:-1]:
        empty_database.run(statement)
    insert = outbox.insert_sql("postgresql", ["gen_random_uuid()", "'notify'", "%s"])
    empty_database.run(insert, '{"to": "alice", "title": "a"}')
    empty_database.run(
        "UPDATE bellcast_outbox SET created_at = now() + interval '1 day', next_attempt_at = now() + interval '1 day'"
    )
    rows = outbox.connect(empty_database.url)
    Relay(rows, shop.bell).run()
    rows.close()
    assert shop.sent == ["a"]


@pytest.mark.parametrize("record", ['{"emial": "a@example.com"}', '{"key": "a"}', '{"email": ["a"]}'])
def test_row_whose_address_is_unusable_is_sent(shop: Shop, record: str) -> None:
    row = (f'{{"title": "a", "addresses": {{"a": {record}}}}}',)
    shop.connection.execute("INSERT INTO bellcast_outbox (key, kind, payload) VALUES ('k', 'notify', ?)", row)
    shop.write("b")
    shop.run()
    assert shop.sent == ["a", "b"]


def test_row_that_fails_unforeseen_holds_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = relay._draft

    def failing(row: Row) -> dict[str, Any]:
        if row.payload["title"] == "b":
            raise ZeroDivisionError("unforeseen")
        return draft(row)

    shop.write("a", "b", "c")
    with monkeypatch.context() as patch:
        patch.setattr(relay, "_draft", failing)
        shop.run()
    assert shop.sent == ["a", "c"]
    assert list(shop.connection.execute("SELECT error FROM bellcast_outbox")) == [("ZeroDivisionError: unforeseen",)]
    shop.run(LONGEST_BACKOFF)
    assert shop.sent == ["a", "c", "b"]


def test_relay_command_that_leaves_a_row_ends_with_status_1(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(row: Row) -> dict[str, Any]:
        raise ZeroDivisionError("unforeseen")

    shop.write("a")
    monkeypatch.setattr(relay, "_draft", failing)
    environ = {"BELLCAST_URL": "http://bell", "BELLCAST_SECRET": "s" * 43}
    result = CliRunner().invoke(cli.app, ["relay", f"sqlite:///{shop.file}", "--once"], env=environ)
    assert result.exit_code == 1
    assert "rows are still due: ZeroDivisionError: unforeseen" in str(result.exception) + result.output


def test_relay_command_that_runs_once_promises_no_next_attempt(shop: Shop) -> None:
    shop.write("a")
    environ = {"BELLCAST_URL": f"http://127.0.0.1:{free_port()}", "BELLCAST_SECRET": "s" * 43}
    result = CliRunner().invoke(cli.app, ["relay", f"sqlite:///{shop.file}", "--once"], env=environ)
    assert result.exit_code == 1
    assert "Connection refused" in str(result.exception)
    assert "next attempt" not in result.output


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ("attempts = 1, next_attempt_at = datetime('now', '60 seconds')", 1),  # leased, or in backoff
        ("error = 'ZeroDivisionError: unforeseen', next_attempt_at = datetime('now', '60 seconds')", 1),
        ("error = 'budget_exceeded', next_attempt_at = datetime('now', '1 day')", 0),
        ("next_attempt_at = datetime('now', '60 seconds')", 0),  # with a `send_at`
        ("attempts = 1, refused_at = datetime('now'), next_attempt_at = datetime('now', '60 seconds')", 0),
    ],
)
def test_relay_command_that_finds_an_attempted_row_waiting_ends_with_status_1(
    shop: Shop, values: str, status: int
) -> None:
    shop.write("a")
    shop.connection.execute(f"UPDATE bellcast_outbox SET {values}")
    shop.connection.commit()
    environ = {"BELLCAST_URL": "http://bell", "BELLCAST_SECRET": "s" * 43}
    result = CliRunner().invoke(cli.app, ["relay", f"sqlite:///{shop.file}", "--once"], env=environ)
    assert result.exit_code == status
    assert ("1 row waits for the next attempt" in str(result.exception)) == bool(status)


def test_response_without_a_result_for_each_row_is_a_failure_of_the_server(shop: Shop) -> None:
    shop.write("a", "b")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"results": [{"id": "n"}]}))
    rows, _ = shop.relay()
    with Bellcast("http://bell", "s" * 43, retries=Retries(tries=1), transport=transport) as bell:
        failure = Relay(rows, bell).run().failure
    rows.close()
    assert isinstance(failure, Unreadable)
    shop.run(FIRST_BACKOFF)
    assert shop.sent == ["a", "b"]


def test_row_whose_key_is_not_utf8_is_sent_and_holds_no_other(shop: Shop) -> None:
    row = "(CAST(x'ff' AS TEXT), 'notify', '{\"title\": \"a\"}')"
    shop.connection.execute(f"INSERT INTO bellcast_outbox (key, kind, payload) VALUES {row}")
    shop.write("b")
    shop.run()
    assert (shop.sent, shop.errors()) == (["a", "b"], [])


def test_row_of_a_file_in_utf16_is_sent_under_its_key(tmp_path: Path) -> None:
    file, key = tmp_path / "utf16.db", str(outbox.row_key("order 7"))
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("PRAGMA encoding = 'UTF-16'; CREATE TABLE orders (id)")
    with closing(Shop(file)) as shop:
        row = (key, '{"title": "a"}')
        shop.connection.execute("INSERT INTO bellcast_outbox (key, kind, payload) VALUES (?, 'notify', ?)", row)
        shop.connection.commit()
        shop.run()
        assert (shop.sent, shop.keys) == (["a"], [key])


@pytest.mark.parametrize("payload", ["CAST(x'7b227469746c65223a22ff227d' AS TEXT)", "x'7b227469746c65223a22ff227d'"])
def test_row_that_is_not_utf8_is_refused_and_holds_no_other(shop: Shop, payload: str) -> None:
    shop.connection.execute(f"INSERT INTO bellcast_outbox (key, kind, payload) VALUES ('k', 'notify', {payload})")
    shop.write("b")
    shop.run()
    assert (shop.sent, shop.errors()) == (["b"], ["payload: must be a JSON object"])


def test_refused_row_is_kept_although_another_has_its_key_in_other_letters(shop: Shop) -> None:
    """SQLite distinguishes the texts of one UUID."""
    key = str(outbox.row_key("order 7"))
    rows = [(key, '{"title": "a"}'), (key.upper(), '{"title": "b"}')]
    shop.connection.executemany("INSERT INTO bellcast_outbox (key, kind, payload) VALUES (?, 'notify', ?)", rows)
    shop.connection.commit()
    shop.refused = {"b": 422}
    shop.run()
    assert (shop.sent, len(shop.errors())) == (["a"], 1)


def test_row_with_a_text_key_is_sent_under_its_uuid(shop: Shop) -> None:
    row = ("order 7", '{"title": "a"}')
    shop.connection.execute("INSERT INTO bellcast_outbox (key, kind, payload) VALUES (?, 'notify', ?)", row)
    shop.connection.commit()
    shop.run()
    assert shop.sent == ["a"]
    assert shop.keys == [str(outbox.row_key("order 7"))]
