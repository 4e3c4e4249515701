"""Fan-outs: work for the recipients of an audience, page by page. A fan-out has the id of its trigger or
announcement."""

from collections.abc import Iterable, Sequence

import msgspec

from bellcast.channels.types import Fanout
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, read
from bellcast.kernel.db.script import Script, Statement, first
from bellcast.kernel.jobs import FANOUT, Job, new_job_params

# Decodes the recipient keys in a column.
decode_keys = msgspec.json.Decoder(frozenset[str]).decode


class Fanouts(StoreTable):
    """Fan-outs by id."""

    @read
    def get(self, id: str) -> Script[Fanout | None]:
        return first(Statement("fanout_find", {"id": id}), _fanout)

    @read
    def states(self, ids: Sequence[str]) -> Script[dict[str, str]]:
        """Return the states of fan-outs by id; those that do not exist are absent."""
        return dict((yield Statement("fanout_states", {"ids": columns.to_json(ids)})))


def add(fanout: Fanout, kind: str) -> Script[None]:
    """Add a fan-out with the job that runs it. Without the number of its announcement, it gets one of its own."""
    params = msgspec.structs.asdict(fanout)
    if fanout.seq is None:
        params["seq"] = yield from next_number()
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
    yield Statement("job_add", many=[new_job_params(job)])


def next_number() -> Script[int]:
    """Allocate the number of the next announcement change. Until the transaction ends, it blocks others that allocate
    one."""
    ((number,),) = yield Statement("announcement_number")
    return int(number)


def move(id: str, after: str, position: str) -> Script[bool]:
    """Move a running fan-out from one key to another. Return False if it no longer runs or is at another key: another
    process has run its job in the meantime, whose pages may have other recipients."""
    return bool((yield Statement("fanout_move", {"id": id, "after": after, "position": position})))


def exclude(id: str, excluded: Iterable[str]) -> Script[None]:
    """Exclude recipients from the pages that are not added yet."""
    yield Statement("fanout_exclude", {"id": id, "excluded": columns.to_json(sorted(excluded))})


def excluded_from(id: str) -> Script[frozenset[str]]:
    """Return the recipients excluded from a fan-out. Locks the fan-out, so that none is added before the
    transaction ends."""
    found = yield Statement("fanout_hold", {"id": id})
    return decode_keys(found[0][0]) if found else frozenset()


def end(id: str, tenant: str) -> Script[bool]:
    """End a fan-out. Return False if it is not running."""
    return bool((yield Statement("fanout_end", {"id": id, "tenant": tenant})))


_fanout = columns.reader(
    Fanout,
    "id tenant workflow owner version audience body cancel_key created_at position state excluded seq",
    audience=str.encode,
    body=str.encode,
    excluded=decode_keys,
)
