"""Fan-outs of triggers: runs for the recipients of an audience, page by page.

A page is one commit of its runs with the effects of their first steps and the new position of the fan-out, so no run needs
a job until its first call or wait."""

from collections.abc import AsyncGenerator
from functools import partial

import msgspec
import structlog
from msgspec import Struct

from bellcast.channels import audiences
from bellcast.channels.audiences import READS_PER_LEASE, PageCommit
from bellcast.channels.types import NewFanout
from bellcast.inbox.types.notifications import Audience
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.jobs.types import FANOUT, Job
from bellcast.workflows.execution import RunExecutor
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types.runs import BegunPage, RunCommit, TriggerRequest

log = structlog.get_logger(__name__)

# While the oldest due run is older than this, other processes have enough work: they look for jobs every half second.
BACKLOG_MS = 1_000


class RunFanout(Struct, eq=False):
    """Executes the jobs of triggers for audiences. With `shares_runs`, other processes on the same store can execute some of the
    runs."""

    triggers: Triggers
    executor: RunExecutor
    shares_runs: bool

    async def run(self, job: Job) -> int | None:
        """Add the runs of the next recipients. Return when the rest is due, or None."""
        return await audiences.run(self.triggers.db, self.triggers.clock, job, self._pages)

    async def _pages(self, fanout: NewFanout) -> AsyncGenerator[PageCommit]:
        """Prepare pages for the next recipients; the last one of a fan-out only ends it."""
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        definition = await self.triggers.workflow_catalog.definition(fanout.owner, fanout.workflow, fanout.version)
        for _ in range(READS_PER_LEASE):
            keys = await audiences.page(
                self.triggers.db, fanout.tenant, audience, fanout.position, fanout.created_at, fanout.seq
            )
            if not keys:
                nothing = TriggerRequest(tenant=fanout.tenant, created_at=self.triggers.clock.now())
                end = _with_jobs(fanout, None, nothing)
                yield partial(self._add, end, end)
                return
            is_for_others = not definition.is_independent
            if not is_for_others and self.shares_runs:
                now = self.triggers.clock.now()
                groups = await Jobs(self.triggers.db).due(now)
                is_for_others = not any(one.priority == FANOUT and 0 < one.run_at < now - BACKLOG_MS for one in groups)
            for some in audiences.cut(keys, self.executor.pace.contention):
                position = some[-1]
                request = await self.triggers.of_page(fanout, [key for key in some if key not in fanout.excluded])
                page = _with_jobs(fanout, position, request)
                begun = page if is_for_others or not page.runs else await self.executor.begin(page)
                yield partial(self._add, begun, page)
                fanout = msgspec.structs.replace(fanout, position=position)

    async def _add(self, page: BegunPage, plain: BegunPage) -> bool:
        """Commit a page with the effects of its first steps or, if they cannot be written, without. Return False if the fan-out
        has ended or moved, or now excludes one of the recipients."""
        try:
            is_added = await self.executor.add(page)
        except BellcastError:
            raise
        except Exception:
            log.exception("fanout_page_failed", fanout=page.fanout.id)
            is_added = await self.executor.add(plain)
        return is_added and page.position is not None


def _with_jobs(fanout: NewFanout, position: str | None, request: TriggerRequest) -> BegunPage:
    """Return a page of runs that start with their jobs, so that only the run that fails is affected."""
    runs = [RunCommit(run=run, now=run.created_at, due_at=run.created_at) for run in request.runs]
    return BegunPage(fanout=fanout, position=position, runs=runs, waits=request.waits, events=request.events)
