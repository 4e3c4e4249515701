"""`bellcast workflow` and `bellcast trigger`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bellcast.client import Bellcast
from tests.journey.shell import Finished, bellcast
from tests.servers import ServerProcess

YAML = "steps:\n  - key: bell\n    type: inbox\n    title: Hello {{ data.name }}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("workflow") / "data") as server:
        yield server


def run(server: ServerProcess, *args: object) -> Finished:
    return bellcast(*args, "--url", server.url, BELLCAST_SECRET=server.secret)


def test_workflow_is_written_shown_triggered_and_deleted(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    file.write_text(YAML)
    assert run(server, "workflow", "put", file).status == 0
    assert run(server, "workflow", "list").out == "hello  version 1, active, 1 step\n"
    assert run(server, "workflow", "show", "hello").json["steps"][0]["key"] == "bell"
    assert "version 1" in run(server, "workflow", "put", file, "--dry-run").out
    assert run(server, "trigger", "hello", "alice", "--dry-run").out.startswith("alice  inbox  send\n✓ Would send to 1")
    started = run(server, "trigger", "hello", "alice", "--data", '{"name": "Bob"}', "--json").json
    with Bellcast(server.url, server.secret) as bell:
        assert bell.runs.get(started["run"]).recipient == "alice"
        assert [one.id for one in bell.runs.list(recipient="alice").runs] == [started["run"]]
    id = started["run"]
    assert run(server, "run", "list", "--workflow", "hello").out == f"{id}  hello  alice  completed\n"
    for state, shown in (("done", 1), ("failed", 0)):
        listed = run(server, "run", "list", "--workflow", "hello", "--step", "bell", "--step-state", state)
        assert listed.out.count(id) == shown
    assert run(server, "run", "show", id).json["steps"][0]["state"] == "done"
    assert run(server, "run", "cancel", id).status == run(server, "run", "retry", id).status == 1
    cancelled = run(server, "workflow", "cancel", "hello", "k", "--to", "alice", "--dry-run", "--json")
    assert cancelled.json == {"cancelled": 0}
    assert run(server, "workflow", "delete", "hello").status == 0
    refused = run(server, "workflow", "show", "hello")
    assert refused.status == 1
    assert "no workflow" in refused.err


@pytest.mark.thorough
def test_simulation_shows_each_step_with_its_time_and_reason(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "remind.yaml"
    file.write_text(
        "steps:\n"
        "  - {key: bell, type: inbox, title: 'Booked by {{ data.client }}'}\n"
        "  - {key: seen, type: wait_for, event: seen, step: bell, timeout: 2h}\n"
        "  - {key: mail, type: email, subject: Late, text: Late, if: {var: data.client, op: eq, value: Bob}}\n"
    )
    with Bellcast(server.url, server.secret) as bell:
        bell.recipients.put("ann", email="ann@example.com", timezone="Europe/Vienna")
    assert run(server, "workflow", "put", file).status == 0
    simulated = ("workflow", "simulate", "remind", "ann", "--data", '{"client": "Bob"}', "--at", "2026-06-10T12:00:00Z")
    assert run(server, *simulated).out == (
        "ann: completed at 2026-06-10 16:00:00 (Europe/Vienna)\n"
        "  2026-06-10 14:00:00  bell  inbox     done, The inbox item would be sent immediately.\n"
        "                                       “Booked by Bob”\n"
        "  2026-06-10 14:00:00  seen  wait_for  done: timeout, until 2026-06-10 16:00:00\n"
        "  2026-06-10 16:00:00  mail  email     done, The e-mail would be sent immediately.\n"
        '                                       holds: data.client is "Bob"\n'
        "                                       “Late”\n"
    )
    seen = run(server, *simulated, "--event", "bell:seen:10m")
    assert "done: matched, until 2026-06-10 14:10:00" in seen.out
    other = run(server, *simulated, "--data", '{"client": "Eve"}').out
    assert "skipped: condition" in other
    assert 'does not hold: data.client is "Eve"' in other
    file.write_text("steps:\n  - {key: price, type: http, url: 'https://example.com/price'}\n")
    assumed = run(server, *simulated, "--file", file)
    assert "not called: its result is assumed to be {}" in assumed.out
    results = run(server, *simulated, "--file", file, "--fields", '{"results": {"price": 1}}', "--json").json
    assert results["recipients"][0]["path"][0]["assumed"] is False
    assert run(server, *simulated, "--event", "bell").status == 2
    assert run(server, *simulated, "--fields", "[]").status == 2
    assert "to.1" in run(server, *simulated[:4], "ann").err


def test_refused_definition_exits_with_1_and_wrong_usage_with_2(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(YAML.replace("inbox", "nothing"))
    refused = run(server, "workflow", "put", file)
    assert refused.status == 1
    assert "steps.0.type" in refused.err
    file.write_text("steps: [")
    assert run(server, "workflow", "put", file).status == 1
    assert run(server, "workflow", "put").status == 2
    assert run(server, "workflow", "put", tmp_path / "absent.yaml").status == 2
    assert run(server, "trigger", "hello").status == 2
    assert run(server, "trigger", "hello", "alice", "--data", "{").status == 2
