"""Runs whose templates take too long, on every store: they fail, and do not take the processor from other tenants."""

import time

import pytest

from tests.clock import FakeClock
from tests.store import Store
from tests.workflows import WorkflowWorld

LOOPS = "{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}"
KEYS = [f"r{number:02}" for number in range(40)]
# CPU seconds: four renderings of 0.125 s, and the rest of the runs on a slow machine. Without the limit it was 10 s.
MAX_SECONDS = 4


@pytest.mark.thorough
async def test_runs_of_a_slow_workflow_fail_without_rendering(store: Store, clock: FakeClock) -> None:
    world = WorkflowWorld(store, clock)
    await world.put("slow", {"key": "bell", "type": "inbox", "title": LOOPS}, tenant="acme")
    started = time.thread_time()
    await world.trigger("slow", KEYS, tenant="acme")
    await world.settle()
    assert time.thread_time() - started < MAX_SECONDS
    reasons = [run.reason or "" for run in await world.runs(tenant="acme")]
    assert len(reasons) == len(KEYS)
    assert [one for one in reasons if "inbox.title" not in one] == []
    assert sum("is not rendered, because" in reason for reason in reasons) == len(KEYS) - 3


@pytest.mark.thorough
async def test_topics_of_new_runs_are_not_rendered_for_each_recipient(store: Store, clock: FakeClock) -> None:
    world = WorkflowWorld(store, clock)
    step = {"key": "wait", "type": "wait_for", "event": "paid", "topic": LOOPS, "timeout": "1h"}
    await world.put("slow", step, tenant="acme")
    started = time.thread_time()
    await world.trigger("slow", KEYS, tenant="acme")
    assert time.thread_time() - started < MAX_SECONDS
