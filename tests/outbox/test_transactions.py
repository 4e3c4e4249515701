"""What an app writes in its own transaction rings once it is committed, and never if it is rolled back."""

import json

import httpx
import psycopg
import pytest

from tests.faults.nodes import titles
from tests.faults.raw import eventually
from tests.wire.clients import stream, websocket

NOTIFY = "SELECT bellcast.notify(%s, %s)"


def said(title: str, **more: object) -> str:
    return json.dumps({"title": title, **more})


@pytest.mark.parametrize("kept", ["in SQLite", "in the app's database", "in another database"])
def test_a_committed_booking_rings_and_a_rolled_back_one_never_does(app, another, serve, kept):
    store = {
        "in SQLite": {},
        "in the app's database": {"BELLCAST_STORE": app.url, "BELLCAST_DATABASE_URL": ""},
        "in another database": {"BELLCAST_STORE": another.url},
    }[kept]
    server = serve(**store)
    with websocket(server, "alice") as bell:
        bell.until("ready")
        with app.connect() as connection:
            connection.execute("INSERT INTO bookings (id) VALUES (1)")
            connection.execute(NOTIFY, ["alice", said("Rolled back")])
            connection.rollback()
            connection.execute("INSERT INTO bookings (id) VALUES (2)")
            connection.execute(NOTIFY, ["alice", said("Booked", type="booking", action_url="/bookings/2")])
            connection.commit()
        told = bell.until("notification")
        assert told["notification"]["title"] == "Booked"
        assert told["notification"]["action_url"] == "/bookings/2"
        assert told["unread"] == 1
    assert eventually(lambda: app.waiting() == 0)
    assert titles(server, "alice") == ["Booked"]


def test_it_does_not_ring_before_the_commit(home):
    app, server = home
    with app.connect() as slow:
        slow.execute(NOTIFY, ["alice", said("Slow")])
        app.run(NOTIFY, "alice", said("Quick"))
        assert eventually(lambda: titles(server, "alice") == ["Quick"])
        slow.commit()
    assert eventually(lambda: titles(server, "alice") == ["Slow", "Quick"])


def test_what_was_committed_while_every_server_was_down_rings_when_one_comes_up_in_order(app, serve):
    with app.connect() as connection:
        for number in range(600):
            connection.execute(NOTIFY, ["alice", said(f"{number}")])
    server = serve()
    assert eventually(lambda: app.waiting() == 0)
    with stream(server, "alice") as bell:
        assert bell.until("ready")["unread"] == 600
    assert titles(server, "alice") == [f"{number}" for number in range(599, 499, -1)]


def test_an_audience_a_tenant_and_a_live_event_can_be_addressed_too(home):
    app, server = home
    with (
        websocket(server, "bob", claims={"roles": ["admin"], "topics": ["admin"]}, topics="admin") as bob,
        websocket(server, "bob", claims={"tenant": "acme"}) as theirs,
    ):
        bob.until("ready")
        theirs.until("ready")
        app.run("SELECT bellcast.notify(%s)", json.dumps({"to": {"role": "admin"}, "title": "For admins"}))
        app.run("SELECT bellcast.notify(%s)", json.dumps({"to": ["bob"], "tenant": "acme", "title": "For Acme"}))
        app.run("SELECT bellcast.publish('admin', 'lead.assigned', %s)", '{"lead": 7}')
        app.run("SELECT bellcast.publish(%s)", '{"recipient": "bob", "name": "hello", "tenant": "acme"}')
        assert bob.until("notification")["notification"]["title"] == "For admins"
        told = bob.until("event")
        assert (told["topic"], told["name"], told["data"]) == ("admin", "lead.assigned", {"lead": 7})
        assert theirs.until("notification")["notification"]["title"] == "For Acme"
        assert theirs.until("event")["name"] == "hello"


def test_a_key_of_the_apps_own_makes_one_of_two(home):
    app, server = home
    for _ in range(2):
        app.run(NOTIFY, "alice", said("Once", idempotency_key="booking 7"))
    app.run(NOTIFY, "alice", said("Then"))
    assert eventually(lambda: titles(server, "alice")[:1] == ["Then"])
    assert titles(server, "alice") == ["Then", "Once"]


def test_what_cannot_be_sent_is_set_apart_with_its_reason_and_holds_up_nothing(home):
    app, server = home
    for payload in [
        "{}",
        '{"title": 7}',
        '{"title": "x", "colour": "red"}',
        "[]",
        '"x"',
        said("Old", expires_at="2001-01-01T00:00:00Z"),
    ]:
        app.run(NOTIFY, "alice", payload)
    app.run("SELECT bellcast.publish('not a topic', 'x')")
    app.run(NOTIFY, None, said("To nobody"))
    app.run(NOTIFY, "alice", said("Good"))
    assert eventually(lambda: titles(server, "alice") == ["Good"])
    assert eventually(lambda: app.waiting() == 0)
    status = app.sql("status")
    assert status["refused"] == 8
    reasons = [one["error"] for one in reversed(status["refusals"])]
    assert "title" in reasons[0]
    assert "$.title" in reasons[1]
    assert "colour" in reasons[2]
    assert "in the future" in reasons[5]
    assert "topic" in reasons[6]
    assert "$.to" in reasons[7]
    assert json.loads(status["refusals"][-1]["payload"]) == {"to": "alice"}


def test_a_refused_row_can_be_put_right_and_tried_again_or_thrown_away(home):
    app, server = home
    app.run(NOTIFY, "alice", said("x" * 501))
    app.run(NOTIFY, "alice", said(""))
    assert eventually(lambda: len(app.run("SELECT 1 FROM bellcast.refused")) == 2)
    ((first,), (second,)) = app.run("SELECT id FROM bellcast.refused ORDER BY id")
    app.run("UPDATE bellcast.refused SET payload = payload || %s WHERE id = %s", '{"title": "Short"}', first)
    assert app.sql("retry", first) == {"retried": 1}
    assert app.sql("discard", second) == {"discarded": 1}
    assert eventually(lambda: titles(server, "alice") == ["Short"])
    assert app.sql("status")["refused"] == 0


def test_an_outbox_installed_under_a_running_server_is_found(bare, start_server):
    server = start_server(BELLCAST_DATABASE_URL=bare.url)
    bare.sql("install")
    bare.run(NOTIFY, "alice", said("Found"))
    assert eventually(lambda: titles(server, "alice") == ["Found"])


def test_only_roles_that_were_named_may_send(app, serve):
    role = f"web_{app.url.rsplit('/', 1)[1]}"
    app.run(f"CREATE ROLE {role}")
    try:
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(NOTIFY, ["alice", said("Forged")])
        app.sql("install", "--grant", role)
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            connection.execute(NOTIFY, ["alice", said("Granted")])
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM bellcast.outbox")
        server = serve()
        assert eventually(lambda: titles(server, "alice") == ["Granted"])
    finally:
        app.run(f"DROP OWNED BY {role}")
        app.run(f"DROP ROLE {role}")


def test_servers_need_not_connect_as_the_owner(app, start_server):
    role = f"node_{app.url.rsplit('/', 1)[1]}"
    app.run(f"CREATE ROLE {role} LOGIN")
    try:
        app.sql("install", "--node", role)
        server = start_server(BELLCAST_DATABASE_URL=app.url.replace("postgres@", f"{role}@"))
        app.run(NOTIFY, "alice", "{}")
        app.run(NOTIFY, "alice", said("Taken"))
        assert eventually(lambda: titles(server, "alice") == ["Taken"])
        assert eventually(lambda: app.sql("status")["refused"] == 1)
        server.kill()
    finally:
        app.run(f"DROP OWNED BY {role}")
        app.run(f"DROP ROLE {role}")


def test_a_tenant_over_its_rate_waits_and_keeps_nobody_else_waiting(app, serve):
    server = serve(BELLCAST_LIMIT_SENDS_PER_SECOND="2")
    with app.connect() as connection:
        for number in range(8):
            connection.execute(NOTIFY, ["alice", said(f"{number}", tenant="acme")])
        connection.execute(NOTIFY, ["bob", said("Mine")])
    assert eventually(lambda: titles(server, "bob") == ["Mine"])
    status = app.sql("status")
    assert (status["refused"], status["waiting"] + status["later"] > 0) == (0, True)
    assert eventually(lambda: app.waiting() == 0)
    inbox = httpx.get(f"{server.url}/v1/inbox", headers=server.as_recipient("alice", tenant="acme")).json()
    assert sorted(one["title"] for one in inbox["notifications"]) == [str(number) for number in range(8)]
