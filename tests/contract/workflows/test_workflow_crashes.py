"""The law of runs: at whichever commit a process dies, every run ends once, with the inbox rows, messages, counts and
triggers of a process that never dies."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from bellcast.kernel.db.script import chunks
from bellcast.kernel.jobs import Job
from bellcast.workflows.store import Runs
from bellcast.workflows.types.runs import RunCommit
from tests.clock import FakeClock
from tests.contract.app import App
from tests.store import Store
from tests.workflows import WorkflowWorld

RECIPIENTS = ["alice", "bob", "mia"]
RUNS = 12
LEASE_MS = 30_000
# Jobs that die together, so that pages of other jobs are not affected.
MAX_PAGE = 3
# Which runs pass a throttle depends on their order; how many pass does not.
THROTTLED: list[dict[str, Any]] = [
    {"key": "few", "type": "throttle", "window": "300d", "limit": 2},
    {"key": "bell", "type": "inbox", "title": "Passed"},
]


class ProcessDied(Exception):
    """The process ended; its leases stay."""


class DyingRuns:
    """Runs of a process that dies at random, before or after a commit."""

    def __init__(self, runs: Any, rng: random.Random, rate: float) -> None:
        self._runs = runs
        self._rng = rng
        self._rate = rate
        self.deaths = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs, name)

    def _die(self) -> None:
        if self._rng.random() < self._rate:
            self.deaths += 1
            raise ProcessDied

    async def commit(self, commits: Sequence[RunCommit]) -> Any:
        self._die()
        results = await self._runs.commit(commits)
        self._die()
        return results


class Effects(NamedTuple):
    """The messages that recipients received, and the final states of the runs of each workflow."""

    titles: dict[str, Counter[str]]
    messages: Counter[tuple[str, str, str]]
    runs: Counter[tuple[str, str]]


def random_steps(rng: random.Random) -> list[dict[str, Any]]:
    """Steps whose effects do not depend on the moment at which they are executed."""
    choices: list[dict[str, Any]] = [
        {"type": "inbox", "title": "{{ data.n }} to {{ recipient.key }}"},
        {"type": "email", "subject": "Hello", "text": "{{ data.n }}"},
        {"type": "delay", "for": rng.choice(["1m", "2h"])},
        {"type": "inbox", "title": "Even", "if": {"var": "data.even", "value": True}},
        {"type": "trigger", "workflow": "child", "to": {"var": "recipient.key"}, "data": {"n": {"var": "data.n"}}},
        {
            "type": "branch",
            "branches": [
                {
                    "if": {"var": "data.n", "op": "lt", "value": 5},
                    "steps": [{"key": "low", "type": "inbox", "title": "Low"}],
                }
            ],
            "else": [{"key": "high", "type": "email", "subject": "High", "text": "High"}],
        },
    ]
    chosen = rng.sample(choices, rng.randint(3, len(choices)))
    return [{"key": f"s{number}", **step} for number, step in enumerate(chosen)]


async def effects_of(world: WorkflowWorld, app: App, tenant: str) -> Effects:
    titles = {key: Counter(await app.titles(key, tenant=tenant, limit=1000)) for key in RECIPIENTS}
    messages = Counter((m.recipient, m.channel, m.state) for m in await world.messages(tenant=tenant))
    runs = Counter((run.workflow, run.state) for run in await world.runs(tenant=tenant))
    return Effects(titles, messages, runs)


async def drive(world: WorkflowWorld, app: App) -> None:
    """Run all jobs to completion; the lease of a job whose process dies expires."""
    while (due := await world._next_due()) is not None:
        world.clock.advance(max(due - app.now, 0) / 1000)
        leased = await app.lease(app.now, app.now + LEASE_MS, 100)
        for kind, jobs in groupby(leased, key=attrgetter("kind")):
            size = min(world.runner._kinds[kind].page, MAX_PAGE)
            for page in chunks(list(jobs), size):
                await execute(world, page)


async def execute(world: WorkflowWorld, page: Sequence[Job]) -> None:
    try:
        due = await world.execute(*page)
    except ProcessDied:
        return
    for job, run_at in zip(page, due, strict=True):
        if run_at is None:
            await world.store.jobs.done([job])
        else:
            await world.store.jobs.retry([replace(job, run_at=run_at)], world.clock.now())


@pytest.mark.parametrize("seed", range(5))
async def test_runs_of_dying_processes_have_the_effects_of_others(
    store: Store, clock: FakeClock, app: App, seed: int
) -> None:
    rng = random.Random(seed)
    steps = THROTTLED if seed == 0 else random_steps(rng)
    starts = [(rng.choice(RECIPIENTS), number) for number in range(RUNS)]
    found = []
    for tenant, rate in (("steady", 0.0), ("dying", 0.5)):
        world = WorkflowWorld(store, clock)
        for key in RECIPIENTS:
            await world.recipient(key, tenant, email=f"{key}@example.com")
        await world.put("child", {"key": "bell", "type": "inbox", "title": "Child {{ data.n }}"}, tenant=tenant)
        await world.put("parent", *steps, tenant=tenant)
        dying: Any = DyingRuns(store.runs, rng, rate)
        store.replaced[Runs] = dying
        for key, number in starts:
            await world.trigger("parent", key, data={"n": number, "even": number % 2 == 0}, tenant=tenant)
        await drive(world, app)
        store.replaced.clear()
        assert (dying.deaths > 0) == (rate > 0)
        found.append(await effects_of(world, app, tenant))
    assert found[0] == found[1]
    assert all(state in ("completed", "throttled") for _, state in found[0].runs)


@pytest.mark.parametrize("text", ["NUL \x00", "not UTF-8 \udce9"])
async def test_error_of_a_function_that_cannot_be_stored_fails_the_run(
    store: Store, clock: FakeClock, text: str
) -> None:
    def score(_: Any) -> None:
        raise ValueError(text)

    world = WorkflowWorld(store, clock, {"score": score})
    await world.put("booking", {"key": "risk", "type": "python", "function": "score"})
    id = await world.trigger("booking")
    await world.advance(20_000)
    run, _ = await world.run(id)
    assert (run.state, (run.reason or "")[:-1]) == ("failed", f"ValueError: {text[:-1]}")
