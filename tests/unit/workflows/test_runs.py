"""Stored runs keep their JSON from release to release."""

import msgspec

from bellcast.workflows.types import runs

STEP = {
    "state": "waiting",
    "reason": "HTTP status 502",
    "result": {"id": 7},
    "notification": "n",
    "messages": ["m"],
    "decided": "n",
    "due_at": 1,
    "attempts": 2,
    "by": "group",
    "started_at": 3,
    "ended_at": 4,
}


def test_stored_step_is_read_and_written_as_one_object() -> None:
    stored = msgspec.json.encode({"status": "waiting", "steps": {"call": STEP, "next": {}}})
    run = runs.decode(stored)
    assert (run.step("call").attempts, run.step("call").started_at) == (2, 3)
    assert run.step("next") == runs.PENDING
    assert runs.encode(run) == stored
