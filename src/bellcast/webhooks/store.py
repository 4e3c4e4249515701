"""Events for webhooks, with the jobs that deliver them."""

from collections.abc import Sequence

import msgspec

from bellcast.kernel.db import columns, lists
from bellcast.kernel.db.engine import StoreTable, on_table, read, read_in_background, write
from bellcast.kernel.db.script import Params, Script, Statement, first
from bellcast.kernel.jobs import NORMAL, Job, new_job_params
from bellcast.webhooks.types import WebhookEvent

# The job that finds the webhooks of an event; its payload is the event's id.
EVENT_JOB_KIND = "webhook-event"
# Events of the last 24 hours that a list compares with each webhook: 5 ms for 100 webhooks.
MAX_RECENT = 1_000


def add(events: Sequence[WebhookEvent], now: int) -> Script[None]:
    """Add events with their jobs, in the transaction of the reported change."""
    if not events:
        return
    added = [{**msgspec.structs.asdict(event), "body": event.body.decode()} for event in events]
    yield Statement("webhook_event_insert", many=added)
    yield Statement(
        "job_add",
        many=[
            new_job_params(
                Job(
                    id=event.id,
                    kind=EVENT_JOB_KIND,
                    payload=event.id.encode(),
                    run_at=now,
                    created_at=now,
                    tenant=event.tenant,
                    priority=NORMAL,
                )
            )
            for event in events
        ],
    )


class WebhookEvents(StoreTable):
    """The events within the retention time. An event is added together with a job that delivers it."""

    add = write()(on_table(add))

    @read
    def find(self, id: str) -> Script[WebhookEvent | None]:
        return first(Statement("webhook_event_find", {"id": id}), _event)

    @read
    def page(self, tenant: str | None, after: str, limit: int) -> Script[list[WebhookEvent]]:
        """Return events by id, after the id `after`; of all tenants without `tenant`."""
        name = "webhook_events_page" if tenant is None else "webhook_events_of"
        params = {"tenant": tenant, "after": after, "limit": limit}
        return list(map(_event, (yield Statement(name, params))))

    @read_in_background
    def recent(self, since: int, tenants: Sequence[str] | None) -> Script[tuple[list[tuple[str, str, str]], bool]]:
        """Return the ids, tenants and types of the newest events of all tenants, or of these, since a time, and whether these are
        all."""
        rows, is_exact = yield from lists.recent("webhook_events_recent", since, tenants, MAX_RECENT)
        return [(id, tenant, type) for _, id, tenant, type in rows], is_exact


def delivery_ids(event: str) -> Params:
    """Return the range of the ids of an event's deliveries, which are `<event>:<webhook>`."""
    return {"first": f"{event}:", "last": f"{event};"}


_event = columns.reader(WebhookEvent, "id tenant recipient type body", body=str.encode)
