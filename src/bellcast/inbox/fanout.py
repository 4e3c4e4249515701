"""Fan-out of announcements to the channels outside the inbox, page by page of recipients."""

from collections.abc import AsyncGenerator

import msgspec
from msgspec import Struct

from bellcast.channels import audiences
from bellcast.channels.audiences import READS_PER_LEASE
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


class AnnouncedPage(Struct, frozen=True):
    """The messages of a page's recipients. The last recipient is the fan-out's new position, `after` the old one."""

    fanout: NewFanout
    request: SendRequest
    after: str
    position: str


class SendFanout(Struct, eq=False):
    """Executes the jobs of announcements with channels outside the inbox."""

    db: Engine
    clock: Clock
    router: Router
    pace: Scheduler

    async def run(self, job: Job) -> int | None:
        """Add the messages of the next pages. Return when the rest is due, or None. Each page is committed together
        with the new position, so nothing is sent twice."""
        return await audiences.run(self.db, self.clock, job, self._pages, self._add)

    async def _pages(self, fanout: NewFanout) -> AsyncGenerator[AnnouncedPage | NewFanout]:
        """Prepare pages for the next recipients. At the end, the fan-out itself is yielded."""
        draft = msgspec.json.decode(fanout.body, type=Draft)
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        position = fanout.position
        for _ in range(READS_PER_LEASE):
            keys = await audiences.page(self.db, fanout.tenant, audience, position, fanout.created_at, fanout.seq)
            if not keys or (draft.expires_at is not None and times.milliseconds(draft.expires_at) <= self.clock.now()):
                yield fanout
                return
            for some in audiences.cut(keys, self.pace.contention):
                after, position = position, some[-1]
                request = await self.router.route_page(draft, fanout.tenant, fanout.id, some, Pauses(self.pace))
                yield AnnouncedPage(fanout, request, after, position)

    async def _add(self, page: AnnouncedPage | NewFanout) -> bool:
        """Commit a page, and move the fan-out. Return False, and write nothing, if it no longer runs or has moved."""
        if isinstance(page, NewFanout):
            await Sends(self.db).end_fanout(page.tenant, page.id)
            return False
        if not await Sends(self.db).add_page(page.request, page.fanout.id, page.after, page.position):
            return False
        self.router.committed([page.request])
        return True
