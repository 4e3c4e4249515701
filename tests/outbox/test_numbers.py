"""What /metrics tells of the outbox: what waits and since when, what was refused, whether it flows."""

from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.proxy import Proxy
from tests.faults.raw import eventually
from tests.servers import ServerProcess

NOTIFY = "SELECT bellcast.notify('alice', %s)"


def numbers(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    told = dict(line.split() for line in lines if line.startswith("bellcast_outbox_"))
    return {name.removeprefix("bellcast_outbox_"): float(value) for name, value in told.items()}


def test_an_outbox_that_flows_is_told_and_a_refused_row_is_counted(app, serve):
    app.run(NOTIFY, '{"title": "a", "colour": "red"}')
    app.run(NOTIFY, '{"title": "b"}')
    server = serve()
    assert eventually(lambda: app.waiting() == 0)
    expected = {"waiting": 0, "oldest_seconds": 0, "put_off": 0, "refused": 1, "flows": 1}
    assert eventually(lambda: numbers(server) == expected, 20)


def test_rows_that_nobody_can_take_are_counted_and_grow_old(app, serve):
    with app.connect() as holding:
        holding.execute("SELECT pg_advisory_xact_lock(%s)", [0x42656C6C_6F757462])  # as a node that stands still
        for _ in range(3):
            app.run(NOTIFY, '{"title": "a"}')
        app.run("UPDATE bellcast.outbox SET written_at = now() - interval '1 hour' WHERE id = 1")
        server = serve()
        assert eventually(lambda: numbers(server).get("waiting") == 3, 20)
        assert numbers(server)["oldest_seconds"] == pytest.approx(3600, abs=60)


def test_an_outbox_whose_database_is_gone_does_not_flow_and_flows_again(app, start_server):
    address = urlsplit(app.url)
    way = Proxy(address.port)
    server = start_server(BELLCAST_DATABASE_URL=app.url.replace(f":{address.port}/", f":{way.port}/"))
    assert eventually(lambda: numbers(server).get("flows") == 1, 20)
    with way.closed():
        assert eventually(lambda: numbers(server)["flows"] == 0, 20)
    assert eventually(lambda: numbers(server)["flows"] == 1, 20)
    way.end()


def test_where_there_is_no_outbox_nothing_is_told_of_one(bare, start_server):
    server = start_server(BELLCAST_DATABASE_URL=bare.url)
    assert httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200
    assert numbers(server) == {}
