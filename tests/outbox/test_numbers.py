"""What /metrics tells of the outbox: what waits and since when, what was refused, whether it flows."""

from urllib.parse import urlsplit

import httpx
import pytest

from bellcast.outbox import schema
from tests.faults.proxy import Proxy
from tests.faults.raw import eventually
from tests.servers import ServerProcess

NOTIFY = "SELECT bellcast.notify('alice', %s)"
WITHIN = 60  # seconds; it is counted every five


def numbers(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    told = dict(line.split() for line in lines if line.startswith("bellcast_outbox_"))
    return {name.removeprefix("bellcast_outbox_"): float(value) for name, value in told.items()}


def test_rows_that_wait_are_counted_and_grow_old_and_a_refused_one_stays(home):
    app, server = home
    with app.connect() as holding:
        holding.execute("SELECT pg_advisory_xact_lock(%s)", [schema.LOCK])  # as a node that stands still
        app.run(NOTIFY, '{"title": "a", "colour": "red"}')
        app.run(NOTIFY, '{"title": "b"}')
        app.run("UPDATE bellcast.outbox SET written_at = now() - interval '1 hour'")
        assert eventually(lambda: numbers(server).get("waiting") == 2, WITHIN)
        assert numbers(server)["oldest_seconds"] == pytest.approx(3600, abs=60)
    expected = {"waiting": 0, "oldest_seconds": 0, "put_off": 0, "refused": 1, "flows": 1}
    assert eventually(lambda: numbers(server) == expected, WITHIN)


def test_it_is_told_from_when_there_is_one_and_does_not_flow_while_its_database_is_away(bare, start_server):
    address = urlsplit(bare.url)
    way = Proxy(address.port)
    server = start_server(BELLCAST_DATABASE_URL=bare.url.replace(f":{address.port}/", f":{way.port}/"))
    assert numbers(server) == {}
    bare.sql("install")
    assert eventually(lambda: numbers(server).get("flows") == 1, WITHIN)
    with way.closed():
        assert eventually(lambda: numbers(server)["flows"] == 0, WITHIN)
    assert eventually(lambda: numbers(server)["flows"] == 1, WITHIN)
    way.end()
