"""Dead jobs over REST, and `bellcast worker`."""

import asyncio
import signal
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bellcast.kernel.jobs import Job
from tests import engines
from tests.journey.rest import Rest, refused
from tests.journey.shell import bellcast, end, lines, running
from tests.servers import PROJECT, ServerProcess


async def set_dead(rest: Rest, id: str, tenant: str = "") -> None:
    """Add a job, and mark it as dead as the runner does."""
    now = rest.clock.now()
    jobs = rest.store.jobs
    await jobs.add([Job(id=id, kind="message", payload=b"", run_at=now, created_at=now, tenant=tenant)])
    (group,) = await jobs.due(now)
    (job,) = await jobs.lease({group: 1}, now, now + 1)
    await jobs.set_dead([Job(**{name: getattr(job, name) for name in Job.__struct_fields__} | {"error": "Broken: x"})])


async def test_dead_jobs_are_listed_with_their_error(rest):
    await set_dead(rest, "j1")
    await set_dead(rest, "j2", tenant="acme")
    (job,) = (await rest.app.get("/v1/jobs?state=dead")).json()["jobs"]
    assert (job["id"], job["kind"], job["state"], job["error"]) == ("j1", "message", "dead", "Broken: x")
    assert [one["id"] for one in (await rest.app.get("/v1/jobs?state=dead&tenant=acme")).json()["jobs"]] == ["j2"]
    assert refused(await rest.app.get("/v1/jobs?state=ready"), 422, "invalid")


async def test_retried_job_is_due_and_deleted_one_is_gone(rest):
    await set_dead(rest, "j1")
    await set_dead(rest, "j2")
    for _ in range(2):
        planned = await rest.app.post("/v1/jobs/j1/retry?dry_run=true")
        assert (planned.status_code, planned.json()) == (200, {"id": "j1"})
    assert refused(await rest.app.post("/v1/jobs/j1/retry?dry_run=true&tenant=acme"), 404, "not_found")
    assert (await rest.app.post("/v1/jobs/j1/retry")).status_code == 202
    assert refused(await rest.app.post("/v1/jobs/j1/retry?dry_run=true"), 404, "not_found")
    assert refused(await rest.app.post("/v1/jobs/j1/retry"), 404, "not_found")
    assert (await rest.app.delete("/v1/jobs/j2")).status_code == 204
    assert refused(await rest.app.delete("/v1/jobs/j2"), 404, "not_found")
    assert (await rest.app.get("/v1/jobs")).json() == {"jobs": [], "next": None}
    assert 'bellcast_jobs{kind="message",state="ready"} 1.0' in (await rest.anonymous.get("/metrics")).text


def test_worker_needs_postgresql(tmp_path):
    finished = bellcast("worker", "--data", tmp_path)
    assert finished.status == 2
    assert "BELLCAST_STORE: expected postgresql://" in finished.err


@pytest.mark.thorough
def test_worker_runs_the_jobs_of_a_server_without_jobs(tmp_path):
    database = asyncio.run(engines.postgres().make(f"worker_{uuid4().hex}"))
    environ = {"BELLCAST_STORE": database, "BELLCAST_BROKER": database}
    variables = {**environ, "BELLCAST_PROJECT": ":".join(PROJECT)}
    with (
        ServerProcess(tmp_path / "server", environ, "--no-jobs") as server,
        httpx.Client(base_url=server.url, headers=server.as_app()) as app,
    ):
        app.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        app.post("/v1/notifications", json={"to": "alice", "title": "Hello", "channels": ["email"]})
        assert state(app) == "queued"
        with running("worker", "--data", tmp_path / "worker", **variables) as worker:
            assert next(lines(worker)) == "Bellcast worker is running"
            deadline = time.monotonic() + 60
            while state(app) != "simulated":
                assert time.monotonic() < deadline
            assert end(worker, signal.SIGTERM).status == 0


def state(app: httpx.Client) -> Any:
    (message,) = app.get("/v1/messages?recipient=alice").json()["messages"]
    return message["state"]
