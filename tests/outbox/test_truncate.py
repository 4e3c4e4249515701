"""TRUNCATE of a watched table sends one event to every stream that its rows belonged to."""

from tests.outbox.test_watched_tables import ADD, following, next_event

TRUNCATED = {"table": "bookings", "change": "truncate", "key": {}, "record": None, "old": None}


def test_truncate_is_sent_in_order_on_the_topic_of_the_table(deployment):
    app, server = deployment
    assert app.sql("watch", "bookings")["names"]["truncate"] == "bookings.truncate"
    with following(server, "admin", "bookings") as admin:
        admin.until("ready")
        app.run(ADD, 1, "north", "ann", "new")
        app.run("TRUNCATE bookings")
        app.run(ADD, 2, "north", "ann", "new")
        assert [next_event(admin)[0] for _ in range(1)] == ["bookings.insert"]
        assert next_event(admin) == ("bookings.truncate", TRUNCATED)
        assert next_event(admin)[0] == "bookings.insert"


def test_truncate_reaches_the_streams_of_the_rows_and_no_others(deployment):
    app, server = deployment
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
        assert next_event(ann) == ("bookings.truncate", TRUNCATED)
        assert next_event(ann)[0] == "last"
        frames = [cyd.until("event") for _ in range(3)]
    # One event per distinct pair of topic and recipient: two clients had bookings with this studio.
    assert [(frame["topic"], frame["name"]) for frame in frames] == [
        ("studio-north", "bookings.truncate"),
        ("studio-north", "bookings.truncate"),
        ("studio-south", "last"),
    ]
    assert app.sql("status")["refused"] == 0


def test_truncate_only_watch_is_listed_and_removable(deployment):
    app, _ = deployment
    app.sql("watch", "bookings", "--on", "truncate")
    (watch,) = app.sql("list")
    assert watch["names"] == {"truncate": "bookings.truncate"}
    app.sql("unwatch", "bookings")
    app.run("TRUNCATE bookings")
    assert (app.sql("list"), app.waiting()) == ([], 0)


def test_unreadable_table_can_still_be_truncated(app):
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
