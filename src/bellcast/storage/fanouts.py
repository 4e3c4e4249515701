"""Fan-outs: work for an audience, page by page of recipients. The id of a fan-out is that of its trigger or announcement."""

from collections.abc import Iterable

import msgspec

from bellcast.ports.jobs import FANOUT, Job
from bellcast.ports.runs import NewFanout
from bellcast.storage import rows
from bellcast.storage.script import Script, Statement

# Recipients, of a column.
decode_keys = msgspec.json.Decoder(frozenset[str]).decode


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
    yield Statement("job_add", many=[rows.new_job_params(job)])


def move(id: str, after: str, position: str) -> Script[bool]:
    """Move a running fan-out from one key to another. False if it does not run, or is not there: another process had its job
    meanwhile, whose pages may have other recipients."""
    return bool((yield Statement("fanout_move", {"id": id, "after": after, "position": position})))


def exclude(id: str, excluded: Iterable[str]) -> Script[None]:
    """Leave recipients out of the pages that are not added yet."""
    yield Statement("fanout_exclude", {"id": id, "excluded": rows.to_json(sorted(excluded))})


def excluded_from(id: str) -> Script[frozenset[str]]:
    """Return the recipients excluded from a fan-out. Locks it, so that no more are excluded before the transaction ends."""
    found = yield Statement("fanout_hold", {"id": id})
    return decode_keys(found[0][0]) if found else frozenset()


def end(id: str, tenant: str) -> Script[bool]:
    """End a fan-out. False if it does not run."""
    return bool((yield Statement("fanout_end", {"id": id, "tenant": tenant})))
