"""Changes of watched tables by any program are sent on the streams that their rows belong to."""

from tests.wire.clients import Socket, websocket

ADD = "INSERT INTO bookings (id, studio, client, status) VALUES (%s, %s, %s, %s)"


def following(server, recipient: str, *topics: str):
    return websocket(server, recipient, claims={"topics": ["*"]}, topics=",".join(topics))


def next_event(admin: Socket) -> tuple[str, dict]:
    event = admin.until("event")
    return event["name"], event["data"]


def test_watched_table_is_sent_on_the_topic_of_its_name(deployment):
    app, server = deployment
    watched = app.sql("watch", "bookings")
    assert (watched["topic"], watched["columns"]) == ("bookings", ["id", "studio", "client", "status"])
    with following(server, "admin", "bookings") as admin:
        admin.until("ready")
        app.run(ADD, 7, "north", "ann", "new")
        app.run("UPDATE bookings SET status = 'paid' WHERE id = 7")
        app.run("UPDATE bookings SET status = 'paid'")  # no row changes
        app.run("DELETE FROM bookings")
        row = {"id": 7, "studio": "north", "client": "ann", "status": "new"}
        common = {"table": "bookings", "key": {"id": 7}}
        assert next_event(admin) == ("bookings.insert", common | {"change": "insert", "record": row, "old": None})
        paid = row | {"status": "paid"}
        assert next_event(admin) == (
            "bookings.update",
            common | {"change": "update", "record": paid, "old": {"status": "new"}},
        )
        assert next_event(admin) == ("bookings.delete", common | {"change": "delete", "record": None, "old": paid})


def test_rolled_back_change_is_not_sent_and_changes_of_a_transaction_keep_their_order(deployment):
    app, server = deployment
    app.sql("watch", "bookings", "--on", "insert,delete")
    with following(server, "admin", "bookings") as admin:
        admin.until("ready")
        with app.connect() as connection:
            connection.execute(ADD, [1, "north", "ann", "new"])
            connection.rollback()
            for number in (2, 3, 4):
                connection.execute(ADD, [number, "north", "ann", "new"])
            connection.execute("UPDATE bookings SET status = 'unseen'")
            connection.execute("DELETE FROM bookings WHERE id = 3")
        events = [next_event(admin) for _ in range(4)]
    assert [(name, data["key"]["id"]) for name, data in events] == [
        ("bookings.insert", 2),
        ("bookings.insert", 3),
        ("bookings.insert", 4),
        ("bookings.delete", 3),
    ]


def test_row_values_choose_topic_and_recipient_and_other_columns_are_hidden(deployment):
    app, server = deployment
    options = ["--topic", "studio-{studio}", "--recipient", "{client}", "--columns", "id,status"]
    app.sql("watch", "bookings", *options, "--name", "update=booking-changed")
    with following(server, "ann") as ann, following(server, "bob", "studio-north") as north:
        ann.until("ready")
        north.until("ready")
        app.run(ADD, 1, "south", "ann", "new")
        app.run(ADD, 2, None, None, "reaches nobody")
        app.run("UPDATE bookings SET studio = 'north' WHERE id = 1")
        app.run("UPDATE bookings SET status = 'paid' WHERE id = 1")
        name, data = next_event(ann)
        assert (name, data["record"]) == ("bookings.insert", {"id": 1, "status": "new"})
        assert next_event(ann)[0] == next_event(ann)[0] == "booking-changed"
        # The update moved the row to this topic; the event is sent on its old and its new topic.
        assert next_event(north) == ("booking-changed", data | {"change": "update", "old": {}})
        assert next_event(north)[1]["old"] == {"status": "new"}
    assert app.sql("status")["refused"] == 0


def test_rows_of_a_tenant_are_sent_to_that_tenant_only(deployment):
    app, server = deployment
    app.sql("watch", "bookings", "--topic", "bookings", "--tenant", "{studio}")
    with (
        websocket(server, "eve", claims={"tenant": "globex", "topics": ["*"]}, topics="bookings") as eve,
        websocket(server, "ann", claims={"tenant": "acme", "topics": ["*"]}, topics="bookings") as ann,
    ):
        eve.until("ready")
        ann.until("ready")
        app.run(ADD, 1, "acme", "ann", "new")
        app.run(ADD, 2, "globex", "eve", "new")
        assert next_event(ann)[1]["key"] == {"id": 1}
        assert next_event(eve)[1]["key"] == {"id": 2}


def test_row_too_large_for_an_event_is_sent_as_its_key(deployment):
    app, server = deployment
    app.sql("watch", "bookings")
    with following(server, "admin", "bookings") as admin:
        admin.until("ready")
        app.run(ADD, 1, "x" * 20_000, "ann", "new")
        _, data = next_event(admin)
    assert data == {"table": "bookings", "change": "insert", "key": {"id": 1}, "record": None, "old": None, "cut": True}


def test_partitioned_table_with_odd_names_and_without_a_key_is_watched(deployment):
    app, server = deployment
    app.run('CREATE TABLE "Odd Table" (name TEXT, "größe" INT) PARTITION BY LIST (name)')
    app.run("""CREATE TABLE part PARTITION OF "Odd Table" FOR VALUES IN ('it''s')""")
    app.sql("watch", '"Odd Table"', "--topic", "odd", "--name", "insert=it's")
    with following(server, "admin", "odd") as admin:
        admin.until("ready")
        app.run("""INSERT INTO "Odd Table" VALUES ('it''s', 7)""")
        name, data = next_event(admin)
    assert (name, data["table"], data["key"]) == ("it's", '"Odd Table"', {})
    assert data["record"] == {"name": "it's", "größe": 7}
    assert list(app.sql("status")["watched"]) == ['"Odd Table"']
