"""Fan-outs: work for an audience, page by page of recipients. The id of a fan-out is that of its trigger or announcement."""

import msgspec

from bellcast.ports.jobs import FANOUT, Job
from bellcast.ports.runs import NewFanout
from bellcast.storage import jobs
from bellcast.storage.script import Script, Statement


def add(fanout: NewFanout, kind: str) -> Script[None]:
    """Add a fan-out with the job that runs it."""
    params = msgspec.structs.asdict(fanout)
    texts = {name: params[name].decode() for name in ("audience", "body")}
    yield Statement("fanout_insert", {**params, **texts})
    job = Job(
        id=fanout.id,
        kind=kind,
        payload=fanout.id.encode(),
        run_at=fanout.created_at,
        created_at=fanout.created_at,
        tenant=fanout.tenant,
        priority=FANOUT,
    )
    yield Statement("job_add", many=[jobs.new_params(job)])


def move(id: str, tenant: str, position: str | None, state: str) -> Script[bool]:
    """Move a running fan-out behind a key, or end it. False if it does not run, or is there already."""
    name = "fanout_end" if position is None else "fanout_move"
    params = {"id": id, "tenant": tenant, "position": position, "state": state}
    return bool((yield Statement(name, params)))
