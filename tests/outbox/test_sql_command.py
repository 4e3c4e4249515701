"""`bellcast sql` on the command line: watch, unwatch, refused arguments, install and uninstall."""

import pytest
from typer.testing import CliRunner

from bellcast import cli
from bellcast.cli.output import CommandError
from bellcast.kernel.errors import BellcastError
from bellcast.outbox import tables
from tests.faults.raw_sockets import eventually
from tests.journey.shell import bellcast

ADD = "INSERT INTO bookings (id, studio, client, status) VALUES (%s, %s, %s, %s)"


def test_watch_replaces_an_earlier_one_and_unwatch_ends_it(app):
    app.sql("watch", "bookings", "--topic", "one")
    app.sql("watch", "public.bookings", "--topic", "two")
    (watch,) = app.sql("list")
    assert (watch["table"], watch["topic"]) == ("bookings", "two")
    assert app.sql("status")["watched"]["bookings"]["topic"] == "two"
    app.sql("unwatch", "bookings")
    assert app.sql("list") == []
    app.run(ADD, 1, "north", "ann", "new")
    assert app.waiting() == 0
    refused = bellcast("sql", "unwatch", "bookings", BELLCAST_DATABASE_URL=app.url)
    assert (refused.status, "bookings is not watched" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing"], "The table nothing does not exist"),
        (["bookings", "--columns", "id,secret"], "no column secret"),
        (["bookings", "--topic", "a b"], "topic: may only contain"),
        (["bookings", "--topic", "{studio_id}"], "no column studio_id"),
        (["bookings", "--on", "select"], "unknown kind select"),
        (["bookings", "--name", "insert"], "expected KIND=NAME"),
        (["bellcast.outbox"], "belongs to Bellcast"),
        (["latest"], "is a view or another relation"),
    ],
    ids=" ".join,
)
def test_unwatchable_tables_are_refused_with_the_reason(app, arguments, complaint):
    app.run("CREATE VIEW latest AS SELECT * FROM bookings")
    arguments = ["sql", "watch", *arguments]
    result = CliRunner().invoke(cli.app, arguments, env={"BELLCAST_DATABASE_URL": app.url})
    assert isinstance(result.exception, CommandError | BellcastError)
    assert complaint in str(result.exception)


@pytest.mark.parametrize(
    "words", [["nine"], ["9" * 19], ["1", "2"], ["postgresql://a/b", "postgresql://a/c"]], ids=" ".join
)
def test_words_that_are_no_url_and_no_number_of_a_row_are_refused(words):
    result = CliRunner().invoke(cli.app, ["sql", "retry", *words], standalone_mode=False)
    assert "a row's number, or both" in str(result.exception)


def test_uninstall_ends_watches_and_leaves_the_apps_tables_alone(app):
    app.sql("watch", "bookings")
    app.run(ADD, 1, "north", "ann", "new")
    refused = bellcast("sql", "uninstall", app.url)
    assert (refused.status, "1 rows are pending" in refused.err) == (1, True)
    assert app.sql("uninstall", "--force") == {"lost": 1}
    app.run(ADD, 2, "north", "ann", "new")
    assert app.run("SELECT 1 FROM pg_namespace WHERE nspname = 'bellcast'") == []
    status = bellcast("sql", "status", app.url)
    assert (status.status, "bellcast sql install" in status.err) == (1, True)


@pytest.mark.parametrize(("installed", "command"), [(2, ["install"]), (3, ["uninstall", "--force"])])
def test_open_transaction_of_the_app_delays_the_others_for_seconds_only(app, monkeypatch, installed, command):
    """While a command waits for its lock, all later writers of the outbox wait behind it."""
    monkeypatch.setattr(tables, "SET_LOCK_TIMEOUT", "SET LOCAL lock_timeout = '100ms'")
    app.run("UPDATE bellcast.outbox_version SET version = %s", installed)
    with app.connect() as writing:
        writing.execute("SELECT bellcast.notify('alice', '{}')")
        result = CliRunner().invoke(cli.app, ["sql", *command], env={"BELLCAST_DATABASE_URL": app.url})
    assert "lock timeout" in str(result.exception)


def test_printed_installation_equals_the_command(empty_database):
    printed = bellcast("sql", "install", "--print").out
    with empty_database.connect() as connection:
        connection.execute(printed)
    assert empty_database.sql("install") == {"from": 3, "to": 3, "granted": []}
    empty_database.run("SELECT bellcast.notify('alice', '{}')")
    assert eventually(lambda: empty_database.waiting() == 1)
