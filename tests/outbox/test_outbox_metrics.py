"""/metrics of the outbox: waiting rows and their age, refused rows, and whether rows are being sent."""

from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from bellcast.kernel.limits import Limits
from bellcast.outbox import tables
from bellcast.outbox.consumer import OutboxConsumer
from tests.clock import FakeClock
from tests.faults.proxy import Proxy
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess

NOTIFY = "SELECT bellcast.notify('alice', %s)"
TIMEOUT = 60  # seconds; rows are counted every five


def outbox_metrics(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    values = dict(line.split() for line in lines if line.startswith("bellcast_outbox_"))
    return {name.removeprefix("bellcast_outbox_"): float(value) for name, value in values.items()}


async def test_backlog_is_counted_after_the_clock_was_set_back(monkeypatch):
    waiting = 1

    async def backlog(_: object) -> tables.Backlog:
        return tables.Backlog(waiting, None, 0, 0)

    monkeypatch.setattr(tables, "backlog", backlog)
    clock, unused = FakeClock(), cast(Any, None)
    consumer = OutboxConsumer("", cast(Any, SimpleNamespace(clock=clock)), Limits(), unused)
    await consumer._count(unused)
    clock.advance(-86_400)
    waiting = 2
    await consumer._count(unused)
    assert consumer.numbers()["outbox_waiting"] == 2


@pytest.mark.thorough
def test_waiting_rows_are_counted_with_their_age_and_refused_ones_remain(deployment):
    app, server = deployment
    with app.connect() as holding:
        holding.execute("SELECT pg_advisory_xact_lock(%s)", [tables.LOCK])  # like a stalled node
        app.run(NOTIFY, '{"title": "a", "colour": "red"}')
        app.run(NOTIFY, '{"title": "b"}')
        app.run("UPDATE bellcast.outbox SET written_at = now() - interval '1 hour'")
        assert eventually(lambda: outbox_metrics(server).get("waiting") == 2, TIMEOUT)
        assert outbox_metrics(server)["oldest_seconds"] == pytest.approx(3600, abs=60)
    expected = {"waiting": 0, "oldest_seconds": 0, "put_off": 0, "refused": 1, "flows": 1}
    assert eventually(lambda: outbox_metrics(server) == expected, TIMEOUT)


@pytest.mark.thorough
def test_metrics_appear_with_the_outbox_and_report_an_unreachable_database(empty_database, start_server):
    address = urlsplit(empty_database.url)
    proxy = Proxy(address.port)
    server = start_server(BELLCAST_DATABASE_URL=empty_database.url.replace(f":{address.port}/", f":{proxy.port}/"))
    assert outbox_metrics(server) == {}
    empty_database.sql("install")
    assert eventually(lambda: outbox_metrics(server).get("flows") == 1, TIMEOUT)
    with proxy.closed():
        assert eventually(lambda: outbox_metrics(server)["flows"] == 0, TIMEOUT)
    assert eventually(lambda: outbox_metrics(server)["flows"] == 1, TIMEOUT)
    proxy.end()
