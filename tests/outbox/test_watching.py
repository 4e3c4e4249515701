"""Tables of the app that are watched: whoever changes them, by whatever way, is heard on the streams they belong to."""

from tests.wire.clients import Socket, websocket

ADD = "INSERT INTO bookings (id, studio, client, status) VALUES (%s, %s, %s, %s)"


def following(server, recipient: str, *topics: str):
    return websocket(server, recipient, claims={"topics": ["*"]}, topics=",".join(topics))


def told(bell: Socket) -> tuple[str, dict]:
    event = bell.until("event")
    return event["name"], event["data"]


def test_a_watched_table_is_heard_on_the_topic_of_its_name(home):
    app, server = home
    watched = app.sql("watch", "bookings")
    assert (watched["topic"], watched["columns"]) == ("bookings", ["id", "studio", "client", "status"])
    with following(server, "admin", "bookings") as bell:
        bell.until("ready")
        app.run(ADD, 7, "north", "ann", "new")
        app.run("UPDATE bookings SET status = 'paid' WHERE id = 7")
        app.run("UPDATE bookings SET status = 'paid'")  # nothing changes
        app.run("DELETE FROM bookings")
        row = {"id": 7, "studio": "north", "client": "ann", "status": "new"}
        common = {"table": "bookings", "key": {"id": 7}}
        assert told(bell) == ("bookings.insert", common | {"change": "insert", "record": row, "old": None})
        paid = row | {"status": "paid"}
        assert told(bell) == (
            "bookings.update",
            common | {"change": "update", "record": paid, "old": {"status": "new"}},
        )
        assert told(bell) == ("bookings.delete", common | {"change": "delete", "record": None, "old": paid})


def test_a_rolled_back_change_is_never_heard_and_those_of_one_transaction_keep_their_order(home):
    app, server = home
    app.sql("watch", "bookings", "--on", "insert,delete")
    with following(server, "admin", "bookings") as bell:
        bell.until("ready")
        with app.connect() as connection:
            connection.execute(ADD, [1, "north", "ann", "new"])
            connection.rollback()
            for number in (2, 3, 4):
                connection.execute(ADD, [number, "north", "ann", "new"])
            connection.execute("UPDATE bookings SET status = 'unheard'")
            connection.execute("DELETE FROM bookings WHERE id = 3")
        heard = [told(bell) for _ in range(4)]
    assert [(name, data["key"]["id"]) for name, data in heard] == [
        ("bookings.insert", 2),
        ("bookings.insert", 3),
        ("bookings.insert", 4),
        ("bookings.delete", 3),
    ]


def test_a_row_chooses_its_topic_and_its_recipient_and_hides_its_other_columns(home):
    app, server = home
    asked = ["--topic", "studio-{studio}", "--recipient", "{client}", "--columns", "id,status"]
    app.sql("watch", "bookings", *asked, "--name", "update=booking-changed")
    with following(server, "ann") as ann, following(server, "bob", "studio-north") as north:
        ann.until("ready")
        north.until("ready")
        app.run(ADD, 1, "south", "ann", "new")
        app.run(ADD, 2, None, None, "reaches nobody")
        app.run("UPDATE bookings SET studio = 'north' WHERE id = 1")
        app.run("UPDATE bookings SET status = 'paid' WHERE id = 1")
        name, data = told(ann)
        assert (name, data["record"]) == ("bookings.insert", {"id": 1, "status": "new"})
        assert told(ann)[0] == told(ann)[0] == "booking-changed"
        # It came to this topic by the change, which is heard where it was and where it is.
        assert told(north) == ("booking-changed", data | {"change": "update", "old": {}})
        assert told(north)[1]["old"] == {"status": "new"}
    assert app.sql("status")["refused"] == 0


def test_a_tenants_rows_stay_with_the_tenant(home):
    app, server = home
    app.sql("watch", "bookings", "--topic", "bookings", "--tenant", "{studio}")
    with (
        websocket(server, "eve", claims={"tenant": "globex", "topics": ["*"]}, topics="bookings") as eve,
        websocket(server, "ann", claims={"tenant": "acme", "topics": ["*"]}, topics="bookings") as ann,
    ):
        eve.until("ready")
        ann.until("ready")
        app.run(ADD, 1, "acme", "ann", "new")
        app.run(ADD, 2, "globex", "eve", "new")
        assert told(ann)[1]["key"] == {"id": 1}
        assert told(eve)[1]["key"] == {"id": 2}


def test_a_row_too_long_for_an_event_is_told_by_its_key(home):
    app, server = home
    app.sql("watch", "bookings")
    with following(server, "admin", "bookings") as bell:
        bell.until("ready")
        app.run(ADD, 1, "x" * 20_000, "ann", "new")
        _, data = told(bell)
    assert data == {"table": "bookings", "change": "insert", "key": {"id": 1}, "record": None, "old": None, "cut": True}


def test_partitions_odd_names_and_rows_without_a_key(home):
    app, server = home
    app.run('CREATE TABLE "Odd Table" (name TEXT, "größe" INT) PARTITION BY LIST (name)')
    app.run("""CREATE TABLE part PARTITION OF "Odd Table" FOR VALUES IN ('it''s')""")
    app.sql("watch", '"Odd Table"', "--topic", "odd", "--name", "insert=it's")
    with following(server, "admin", "odd") as bell:
        bell.until("ready")
        app.run("""INSERT INTO "Odd Table" VALUES ('it''s', 7)""")
        name, data = told(bell)
    assert (name, data["table"], data["key"]) == ("it's", '"Odd Table"', {})
    assert data["record"] == {"name": "it's", "größe": 7}
    assert list(app.sql("status")["watched"]) == ['"Odd Table"']
