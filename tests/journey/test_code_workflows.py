"""Workflows in Python, loaded by `bellcast serve --workflows`."""

from pathlib import Path

import httpx

from tests.journey.shell import bellcast
from tests.servers import ServerProcess


def test_workflows_in_code_run_and_are_read_only(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", {}, "--workflows", "tests.journey.flows_app", "--test-clock") as server,
        httpx.Client(base_url=server.url, headers=server.as_app()) as app,
    ):
        shown = app.get("/v1/workflows/booking-created").json()
        assert (shown["type"], shown["version"], shown["in_code"]) == ("booking", 1, True)
        assert shown["steps"][1]["if"] == {"var": "data.total", "op": "gte", "value": 100}
        assert app.put("/v1/workflows/booking-created", json={"steps": shown["steps"]}).status_code == 409
        assert app.put("/v1/workflows/booking-created?dry_run=true", json={"steps": shown["steps"]}).status_code == 409
        assert app.delete("/v1/workflows/booking-created").status_code == 409
        body = {"to": "alice", "data": {"client": "Bob", "total": 120}}
        run = app.post("/v1/workflows/booking-created/trigger", json=body).json()["run"]
        app.post("/v1/test-clock", json={"advance": 1})
        done = app.get(f"/v1/runs/{run}").json()
        assert {step["key"]: step["state"] for step in done["steps"]} == {
            "bell": "done", "risk": "done", "size": "done", "high": "done", "low": "skipped",
        }  # fmt: skip
        app.post("/v1/test-clock", json={"advance": "1d"})
        assert app.get("/v1/inbox", headers=server.as_recipient("bob")).json()["unread"] == 1
        assert done["steps"][1]["result"] == {"score": 12.0, "attempt": 1, "recipient": "alice"}


def test_module_without_workflows_is_refused(tmp_path: Path) -> None:
    for target in ("tests.journey.flows_app:score", "tests.journey.nowhere"):
        refused = bellcast("serve", "--port", 0, "--workflows", target, "--data", tmp_path)
        assert refused.status == 2
        assert "BELLCAST_WORKFLOWS" in refused.err
