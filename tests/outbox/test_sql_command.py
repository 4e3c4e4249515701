"""`bellcast sql` as a person uses it: watch and unwatch, what it refuses, in and out of the app's database."""

import pytest
from typer.testing import CliRunner

from bellcast import cli
from bellcast.cli.console import CommandError
from bellcast.errors import BellcastError
from tests.faults.raw import eventually
from tests.journey.shell import bellcast

ADD = "INSERT INTO bookings (id, studio, client, status) VALUES (%s, %s, %s, %s)"


def test_watching_again_replaces_and_unwatching_ends_it(app):
    app.sql("watch", "bookings", "--topic", "one")
    app.sql("watch", "public.bookings", "--topic", "two")
    (only,) = app.sql("list")
    assert (only["table"], only["topic"]) == ("bookings", "two")
    assert app.sql("status")["watched"]["bookings"]["topic"] == "two"
    app.sql("unwatch", "bookings")
    assert app.sql("list") == []
    app.run(ADD, 1, "north", "ann", "new")
    assert app.waiting() == 0
    refused = bellcast("sql", "unwatch", "bookings", BELLCAST_DATABASE_URL=app.url)
    assert (refused.status, "bookings is not watched" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("asked", "complaint"),
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
def test_what_cannot_be_watched_is_said(app, asked, complaint):
    app.run("CREATE VIEW latest AS SELECT * FROM bookings")
    asked = ["sql", "watch", *asked]
    done = CliRunner().invoke(cli.app, asked, env={"BELLCAST_DATABASE_URL": app.url})  # `main` prints what it raises
    assert isinstance(done.exception, CommandError | BellcastError)
    assert complaint in str(done.exception)


def test_taking_the_outbox_out_takes_the_watching_with_it_and_leaves_the_app_as_it_was(app):
    app.sql("watch", "bookings")
    app.run(ADD, 1, "north", "ann", "new")
    held = bellcast("sql", "uninstall", app.url)
    assert (held.status, "1 rows are pending" in held.err) == (1, True)
    assert app.sql("uninstall", "--force") == {"lost": 1}
    app.run(ADD, 2, "north", "ann", "new")
    assert app.run("SELECT 1 FROM pg_namespace WHERE nspname = 'bellcast'") == []
    status = bellcast("sql", "status", app.url)
    assert (status.status, "bellcast sql install" in status.err) == (1, True)


def test_installing_by_the_apps_own_migrations_is_the_same(bare):
    printed = bellcast("sql", "install", "--print").out
    with bare.connect() as connection:
        connection.execute(printed)
    assert bare.sql("install") == {"from": 2, "to": 2, "granted": []}
    bare.run("SELECT bellcast.notify('alice', '{}')")
    assert eventually(lambda: bare.waiting() == 1)
