"""TRUNCATE of a watched table: whoever one of its rows reached is told that all of them are gone."""

from tests.outbox.test_watching import ADD, following, told

EMPTIED = {"table": "bookings", "change": "truncate", "key": {}, "record": None, "old": None}


def test_a_table_that_is_emptied_is_told_on_the_topic_of_its_name_and_in_order(home):
    app, server = home
    assert app.sql("watch", "bookings")["names"]["truncate"] == "bookings.truncate"
    with following(server, "admin", "bookings") as bell:
        bell.until("ready")
        app.run(ADD, 1, "north", "ann", "new")
        app.run("TRUNCATE bookings")
        app.run(ADD, 2, "north", "ann", "new")
        assert [told(bell)[0] for _ in range(1)] == ["bookings.insert"]
        assert told(bell) == ("bookings.truncate", EMPTIED)
        assert told(bell)[0] == "bookings.insert"


def test_everybody_whom_a_row_reached_is_told_and_nobody_else(home):
    app, server = home
    for number, (studio, client) in enumerate([("north", "ann"), ("north", "bob"), ("north", "ann"), (None, None)]):
        app.run(ADD, number, studio, client, "new")
    app.sql("watch", "bookings", "--topic", "studio-{studio}", "--recipient", "{client}", "--on", "truncate")
    with following(server, "ann") as ann, following(server, "cyd", "studio-south", "studio-north") as cyd:
        ann.until("ready")
        cyd.until("ready")
        with app.connect() as connection:
            connection.execute("TRUNCATE bookings")
            connection.rollback()
        app.run("TRUNCATE bookings")
        app.run("SELECT bellcast.publish('studio-south', 'last', '1')")
        app.run('SELECT bellcast.publish(\'{"recipient": "ann", "name": "last", "data": 1}\')')
        assert told(ann) == ("bookings.truncate", EMPTIED)
        assert told(ann)[0] == "last"
        heard = [cyd.until("event") for _ in range(3)]
    # Once for each way in which rows reach somebody: this studio's were two people's.
    assert [(one["topic"], one["name"]) for one in heard] == [
        ("studio-north", "bookings.truncate"),
        ("studio-north", "bookings.truncate"),
        ("studio-south", "last"),
    ]
    assert app.sql("status")["refused"] == 0


def test_what_is_watched_for_that_alone_is_listed_and_let_be(home):
    app, _ = home
    app.sql("watch", "bookings", "--on", "truncate")
    (only,) = app.sql("list")
    assert only["names"] == {"truncate": "bookings.truncate"}
    app.sql("unwatch", "bookings")
    app.run("TRUNCATE bookings")
    assert (app.sql("list"), app.waiting()) == ([], 0)


def test_a_table_that_may_not_be_read_is_emptied_all_the_same(app):
    app.sql("watch", "bookings", "--topic", "studio-{studio}")
    app.run(
        "CREATE ROLE bells; GRANT CREATE, USAGE ON SCHEMA bellcast TO bells; GRANT INSERT ON bellcast.outbox TO bells"
    )
    app.run("ALTER FUNCTION bellcast.emptied() OWNER TO bells")
    app.run("ALTER TABLE bookings DISABLE TRIGGER bellcast_watch")
    app.run(ADD, 1, "north", "ann", "new")
    try:
        app.run("TRUNCATE bookings")
    finally:
        app.run("ALTER FUNCTION bellcast.emptied() OWNER TO postgres; DROP OWNED BY bells; DROP ROLE bells")
    assert (app.run("SELECT * FROM bookings"), app.waiting()) == ([], 0)
