"""Fan-out of announcements to the channels outside the inbox, page by page of recipients."""

import msgspec

from bellcast.channels import audiences
from bellcast.channels.audiences import FANOUT_PAGES
from bellcast.channels.routing import Router
from bellcast.model import times
from bellcast.model.notifications import Audience, Draft
from bellcast.ports import Clock, Job, Store
from bellcast.ports.runs import NewFanout


class SendFanout:
    """Executes the jobs of announcements with other channels than the inbox."""

    def __init__(self, store: Store, clock: Clock, router: Router) -> None:
        self._store = store
        self._clock = clock
        self._router = router

    async def run(self, job: Job) -> int | None:
        """Add the messages of the next pages. Return when the rest is due, or None. Each recipient is in one page that is
        committed with the position behind it, so nothing is sent twice."""
        for _ in range(FANOUT_PAGES):
            fanout = await self._store.runs.fanout(job.payload.decode())
            if fanout is None or fanout.state != "running" or not await self._add_page(fanout):
                return None
        return self._clock.now()

    async def _add_page(self, fanout: NewFanout) -> bool:
        """Add a page; False if none is left."""
        draft, now = msgspec.json.decode(fanout.body, type=Draft), self._clock.now()
        is_expired = draft.expires_at is not None and times.milliseconds(draft.expires_at) <= now
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        keys = await audiences.page(self._store, fanout.tenant, audience, fanout.position, fanout.created_at)
        if is_expired or not keys:
            await self._store.sends.end_fanout(fanout.tenant, fanout.id)
            return False
        request = await self._router.route_page(draft, fanout.tenant, fanout.id, keys)
        if await self._store.sends.add_page(request, fanout.id, keys[-1]):
            self._router.committed([request])
        return True
