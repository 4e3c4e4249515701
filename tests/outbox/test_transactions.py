"""Rows written in the app's transaction are sent after its commit, and never after a rollback."""

import json

import httpx
import psycopg
import pytest

from tests.faults.nodes import titles
from tests.faults.raw_sockets import eventually
from tests.wire.clients import stream, websocket

NOTIFY = "SELECT bellcast.notify(%s, %s)"


def payload(title: str, **more: object) -> str:
    return json.dumps({"title": title, **more})


@pytest.mark.parametrize("location", ["in SQLite", "in the app's database", "in another database"])
def test_committed_notification_is_sent_and_a_rolled_back_one_is_not(app, store_database, serve, location):
    store = {
        "in SQLite": {},
        "in the app's database": {"BELLCAST_STORE": app.url, "BELLCAST_DATABASE_URL": ""},
        "in another database": {"BELLCAST_STORE": store_database.url},
    }[location]
    server = serve(**store)
    with websocket(server, "alice") as alice:
        alice.until("ready")
        with app.connect() as connection:
            connection.execute("INSERT INTO bookings (id) VALUES (1)")
            connection.execute(NOTIFY, ["alice", payload("Rolled back")])
            connection.rollback()
            connection.execute("INSERT INTO bookings (id) VALUES (2)")
            connection.execute(NOTIFY, ["alice", payload("Booked", type="booking", action_url="/bookings/2")])
            connection.commit()
        frame = alice.until("notification")
        assert frame["notification"]["title"] == "Booked"
        assert frame["notification"]["action_url"] == "/bookings/2"
        assert frame["unread"] == 1
    assert eventually(lambda: app.waiting() == 0)
    assert titles(server, "alice") == ["Booked"]


def test_notification_is_not_sent_before_the_commit(deployment):
    app, server = deployment
    with app.connect() as slow:
        slow.execute(NOTIFY, ["alice", payload("Slow")])
        app.run(NOTIFY, "alice", payload("Quick"))
        assert eventually(lambda: titles(server, "alice") == ["Quick"])
        slow.commit()
    assert eventually(lambda: titles(server, "alice") == ["Slow", "Quick"])


def test_rows_committed_while_no_server_runs_are_sent_in_order_at_the_next_start(app, serve):
    with app.connect() as connection:
        for number in range(600):
            connection.execute(NOTIFY, ["alice", payload(f"{number}")])
    server = serve()
    assert eventually(lambda: app.waiting() == 0)
    with stream(server, "alice") as alice:
        assert alice.until("ready")["unread"] == 600
    assert titles(server, "alice") == [f"{number}" for number in range(599, 499, -1)]


def test_outbox_rows_can_address_audiences_tenants_and_live_events(deployment):
    app, server = deployment
    with (
        websocket(server, "bob", claims={"roles": ["admin"], "topics": ["admin"]}, topics="admin") as bob,
        websocket(server, "bob", claims={"tenant": "acme"}) as acme_bob,
    ):
        bob.until("ready")
        acme_bob.until("ready")
        app.run("SELECT bellcast.notify(%s)", json.dumps({"to": {"role": "admin"}, "title": "For admins"}))
        app.run("SELECT bellcast.notify(%s)", json.dumps({"to": ["bob"], "tenant": "acme", "title": "For Acme"}))
        app.run("SELECT bellcast.publish('admin', 'lead.assigned', %s)", '{"lead": 7}')
        app.run("SELECT bellcast.publish(%s)", '{"recipient": "bob", "name": "hello", "tenant": "acme"}')
        assert bob.until("notification")["notification"]["title"] == "For admins"
        frame = bob.until("event")
        assert (frame["topic"], frame["name"], frame["data"]) == ("admin", "lead.assigned", {"lead": 7})
        assert acme_bob.until("notification")["notification"]["title"] == "For Acme"
        assert acme_bob.until("event")["name"] == "hello"


def test_idempotency_key_deduplicates_rows(deployment):
    app, server = deployment
    for _ in range(2):
        app.run(NOTIFY, "alice", payload("Once", idempotency_key="booking 7"))
    app.run(NOTIFY, "alice", payload("Then"))
    assert eventually(lambda: titles(server, "alice")[:1] == ["Then"])
    assert titles(server, "alice") == ["Then", "Once"]


def test_invalid_rows_are_set_aside_with_their_reason_and_block_no_others(deployment):
    app, server = deployment
    for body in [
        "{}",
        '{"title": 7}',
        '{"title": "x", "colour": "red"}',
        "[]",
        '"x"',
        payload("Old", expires_at="2001-01-01T00:00:00Z"),
    ]:
        app.run(NOTIFY, "alice", body)
    app.run("SELECT bellcast.publish('not a topic', 'x')")
    app.run(NOTIFY, None, payload("To nobody"))
    app.run(NOTIFY, "alice", payload("Good"))
    assert eventually(lambda: titles(server, "alice") == ["Good"])
    assert eventually(lambda: app.waiting() == 0)
    status = app.sql("status")
    assert status["refused"] == 8
    reasons = [refusal["error"] for refusal in reversed(status["refusals"])]
    assert "title" in reasons[0]
    assert "$.title" in reasons[1]
    assert "colour" in reasons[2]
    assert "in the future" in reasons[5]
    assert "topic" in reasons[6]
    assert "$.to" in reasons[7]
    assert json.loads(status["refusals"][-1]["payload"]) == {"to": "alice"}


def test_refused_row_can_be_corrected_and_retried_or_discarded(deployment):
    app, server = deployment
    app.run(NOTIFY, "alice", payload("x" * 501))
    app.run(NOTIFY, "alice", payload(""))
    assert eventually(lambda: len(app.run("SELECT 1 FROM bellcast.refused")) == 2)
    ((first,), (second,)) = app.run("SELECT id FROM bellcast.refused ORDER BY id")
    app.run("UPDATE bellcast.refused SET payload = payload || %s WHERE id = %s", '{"title": "Short"}', first)
    assert app.sql("retry", first) == {"retried": 1}
    assert app.sql("discard", second) == {"discarded": 1}
    assert eventually(lambda: titles(server, "alice") == ["Short"])
    assert app.sql("status")["refused"] == 0


@pytest.mark.thorough
def test_outbox_installed_under_a_running_server_is_detected(empty_database, start_server):
    server = start_server(BELLCAST_DATABASE_URL=empty_database.url)
    empty_database.sql("install")
    empty_database.run(NOTIFY, "alice", payload("Found"))
    assert eventually(lambda: titles(server, "alice") == ["Found"])


def test_only_granted_roles_may_send(app, serve):
    role = f"web_{app.url.rsplit('/', 1)[1]}"
    app.run(f"CREATE ROLE {role}")
    try:
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(NOTIFY, ["alice", payload("Forged")])
        app.sql("install", "--grant", role)
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            connection.execute(NOTIFY, ["alice", payload("Granted")])
        with app.connect() as connection:
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM bellcast.outbox")
        server = serve()
        assert eventually(lambda: titles(server, "alice") == ["Granted"])
    finally:
        app.run(f"DROP OWNED BY {role}")
        app.run(f"DROP ROLE {role}")


def test_servers_need_no_ownership_of_the_outbox(app, start_server):
    role = f"node_{app.url.rsplit('/', 1)[1]}"
    app.run(f"CREATE ROLE {role} LOGIN")
    try:
        app.sql("install", "--node", role)
        server = start_server(BELLCAST_DATABASE_URL=app.url.replace("postgres@", f"{role}@"))
        app.run(NOTIFY, "alice", "{}")
        app.run(NOTIFY, "alice", payload("Taken"))
        assert eventually(lambda: titles(server, "alice") == ["Taken"])
        assert eventually(lambda: app.sql("status")["refused"] == 1)
        server.kill()
    finally:
        app.run(f"DROP OWNED BY {role}")
        app.run(f"DROP ROLE {role}")


@pytest.mark.thorough
def test_tenant_over_its_rate_waits_without_delaying_others(app, serve):
    server = serve(BELLCAST_LIMIT_SENDS_PER_SECOND="2")
    with app.connect() as connection:
        for number in range(8):
            connection.execute(NOTIFY, ["alice", payload(f"{number}", tenant="acme")])
        connection.execute(NOTIFY, ["bob", payload("Mine")])
    assert eventually(lambda: titles(server, "bob") == ["Mine"])
    status = app.sql("status")
    assert (status["refused"], status["waiting"] + status["later"] > 0) == (0, True)
    assert eventually(lambda: app.waiting() == 0)
    inbox = httpx.get(f"{server.url}/v1/inbox", headers=server.as_recipient("alice", tenant="acme")).json()
    assert sorted(row["title"] for row in inbox["notifications"]) == [str(number) for number in range(8)]
