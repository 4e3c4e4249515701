"""Fan-out of announcements to the channels outside the inbox, page by page of recipients."""

from collections.abc import AsyncGenerator
from functools import partial

import msgspec
from msgspec import Struct

from bellcast.channels import audiences
from bellcast.channels.audiences import READS_PER_LEASE, PageCommit
from bellcast.channels.routing import Router
from bellcast.channels.types import NewFanout
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.types.notifications import Audience, Draft
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import Pauses, Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.jobs.types import Job


class SendFanout(Struct, eq=False):
    """Executes the jobs of announcements with channels outside the inbox."""

    db: Engine
    clock: Clock
    router: Router
    pace: Scheduler

    async def run(self, job: Job) -> int | None:
        """Add the messages of the next pages. Return when the rest is due, or None. Each page is committed together
        with the new position, so nothing is sent twice."""
        return await audiences.run(self.db, self.clock, job, self._pages)

    async def _pages(self, fanout: NewFanout) -> AsyncGenerator[PageCommit]:
        """Prepare pages for the next recipients; the last one of a fan-out only ends it."""
        draft = msgspec.json.decode(fanout.body, type=Draft)
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        position = fanout.position
        for _ in range(READS_PER_LEASE):
            keys = await audiences.page(self.db, fanout.tenant, audience, position, fanout.created_at, fanout.seq)
            if not keys or (draft.expires_at is not None and times.milliseconds(draft.expires_at) <= self.clock.now()):
                yield partial(self._end, fanout)
                return
            for some in audiences.cut(keys, self.pace.contention):
                after, position = position, some[-1]
                request = await self.router.route_page(draft, fanout.tenant, fanout.id, some, Pauses(self.pace))
                yield partial(self._add, fanout.id, request, after, position)

    async def _end(self, fanout: NewFanout) -> bool:
        await Sends(self.db).end_fanout(fanout.tenant, fanout.id)
        return False

    async def _add(self, fanout: str, request: SendRequest, after: str, position: str) -> bool:
        is_added = await Sends(self.db).add_page(request, fanout, after, position)
        if is_added:
            self.router.committed([request])
        return is_added
