"""The nodes of a cluster, as they report themselves with their heartbeats."""

from typing import Literal

from msgspec import Struct

NodeRole = Literal["server", "worker"]


class NodeReport(Struct, frozen=True, kw_only=True):
    """A process: a server, or a worker that only runs jobs. `started_at` is UTC milliseconds, `cpu` the share of one
    core since the previous report, `memory` the resident bytes (None where the system does not report them), and
    `queue_age` the milliseconds for which a due job had waited at the last sample (None without statistics).
    `commit` is the commit of its code (None if that is not known), and `schema_version` that of the store that its code knows. The defaults are those of a node that sends no report."""

    version: str = "unknown"
    commit: str | None = None
    role: NodeRole = "server"
    host: str = ""
    pid: int = 0
    runs_jobs: bool = True
    started_at: int
    connections: int
    cpu: float = 0.0
    memory: int | None = None
    queue_age: int | None = None
    settings_revision: int = 0
    schema_version: int | None = None


class LiveNode(Struct, frozen=True, kw_only=True):
    """A node whose heartbeats arrive. `is_self` marks the node that lists the others."""

    id: str
    reported_at: int
    is_self: bool
    report: NodeReport
