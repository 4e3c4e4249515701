"""`bellcast.trigger` in the app's transaction starts a workflow after the commit."""

import httpx

from tests.faults.nodes import titles
from tests.faults.raw_sockets import eventually

STEPS = [{"key": "bell", "type": "inbox", "title": "Booked by {{ data.client }}"}]


def test_trigger_runs_once_after_the_commit(deployment):
    app, server = deployment
    with httpx.Client(base_url=server.url, headers=server.as_app()) as client:
        assert client.put("/v1/workflows/booking", json={"steps": STEPS}).is_success
    with app.connect() as connection:
        connection.execute("SELECT bellcast.trigger('booking', 'alice', '{\"client\":\"Bob\"}')")
        connection.execute('SELECT bellcast.trigger(\'booking\', \'["alice","bob"]\'::jsonb, \'{"client":"Eve"}\')')
        assert titles(server, "alice") == []
    assert eventually(lambda: sorted(titles(server, "alice")) == ["Booked by Bob", "Booked by Eve"])
    assert eventually(lambda: titles(server, "bob") == ["Booked by Eve"])


def test_trigger_of_an_unknown_workflow_is_refused_with_its_reason(deployment):
    app, _ = deployment
    app.run("SELECT bellcast.trigger('none', 'alice')")
    assert eventually(lambda: bool(app.run("SELECT id FROM bellcast.refused")))
    assert app.run("SELECT kind, error FROM bellcast.refused") == [("trigger", "There is no workflow with this key.")]
