"""This process among the nodes: its report for the heartbeats, and digests by which nodes with other
credentials or settings are found."""

import contextlib
import hashlib
import hmac
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct, field

from bellcast import build
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.kernel.clock import Clock
from bellcast.kernel.identities import Project
from bellcast.live.types import LiveNode, NodeReport, NodeRole
from bellcast.settings import Settings
from bellcast.settings.credentials import EncryptionKeys

log = structlog.get_logger(__name__)

# --- the report

# Minimum window of a CPU share. In a shorter one, the request for the report would dominate.
MIN_WINDOW_SECONDS = 1.0
# Resident pages are the second number in the file (proc(5)).
MEMORY_FILE = Path("/proc/self/statm")


class NodeReporter(Struct, eq=False):
    """Creates reports about this process. `connections`, `queue_age` and `settings_revision` read the current values. A
    report takes 25 µs."""

    started_at: int
    connections: Callable[[], int]
    queue_age: Callable[[], int | None]
    settings_revision: Callable[[], int]
    runs_jobs: bool
    schema_version: int
    role: NodeRole = "server"
    _measured_at: float = field(default_factory=time.monotonic)
    _cpu_seconds: float = field(default_factory=time.process_time)
    _cpu: float = 0.0

    def report(self) -> NodeReport:
        # The share of one core since the previous report, which is at least MIN_WINDOW_SECONDS old
        now, used = time.monotonic(), time.process_time()
        window = now - self._measured_at
        if window >= MIN_WINDOW_SECONDS:
            self._cpu = round((used - self._cpu_seconds) / window, 3)
            self._measured_at, self._cpu_seconds = now, used
        memory: int | None = None
        with contextlib.suppress(OSError, IndexError, ValueError):
            memory = int(MEMORY_FILE.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return NodeReport(
            version=build.version(),
            commit=build.commit(),
            role=self.role,
            host=platform.node(),
            pid=os.getpid(),
            runs_jobs=self.runs_jobs,
            started_at=self.started_at,
            connections=self.connections(),
            cpu=self._cpu,
            memory=memory,
            queue_age=self.queue_age(),
            settings_revision=self.settings_revision(),
            schema_version=self.schema_version,
        )


# --- digests of credentials and settings

# Each node writes digests to the store, because nodes with other credentials cannot read each other's heartbeats. The
# digests are keyed with the project secret, and that of the secret is slow to guess.
KIND = "nodes"
# Between two writes of a node. One that has missed two of them has stopped; its digests are deleted.
WRITE_MS, STOPPED_MS = 60_000, 150_000
# Read of all nodes at once.
MAX_NODES = 1000
# The first hash of a secret takes 50 ms.
SCRYPT = {"n": 2**14, "r": 8, "p": 1}


class NodeDigests(Struct, frozen=True):
    """What a node writes. `secret` is the digest of its project secret, `parts` are those of its settings by name, which nodes of
    different versions do not share."""

    name: str
    at: int
    secret: str
    parts: dict[str, str]
    version: str = ""


class NodeSettings(Struct, eq=False):
    """Writes the digests of this node, and compares those of the others with them."""

    documents: Documents
    clock: Clock
    settings: Settings
    project: Project
    keys: EncryptionKeys
    _written_at: int = 0
    _secrets: list[str] = []
    _logged: Mapping[str, str] = {}

    @property
    def _key(self) -> str:
        return f"{platform.node()} {os.getpid()} {id(self)}"

    async def refresh(self) -> None:
        """Write this node's digests if it is time, or if the clock was set back, and log new differences. Nothing is written to a
        store that cannot be shared. Raises Unavailable."""
        now = self.clock.now()
        if self.settings.store.is_file or 0 <= now - self._written_at < WRITE_MS:
            return
        self._secrets = self._secrets or [
            hashlib.scrypt(one.secret.encode(), salt=f"bellcast node {one.key}".encode(), **SCRYPT).hex()
            for one in self.project.accepted
        ]
        name = _name(platform.node(), os.getpid())
        own = NodeDigests(name, now, self._secrets[0], self._parts(), build.version())
        await self.documents.put(KIND, PROJECT, self._key, msgspec.json.encode(own), now)
        self._written_at = now
        found = await self.differences(())
        for name, differing in found.items():
            if self._logged.get(name) != differing:
                log.warning("node_settings_differ", node=name, settings=differing)
        self._logged = found

    async def differences(self, live: Sequence[LiveNode]) -> Mapping[str, str]:
        """Return what differs on other nodes, by their names. The broker knows the `live` ones: those that have written nothing to
        this store use another one. Raises Unavailable."""
        if not self._secrets:
            return {}
        now, parts = self.clock.now(), self._parts()
        documents = await self.documents.page(KIND, PROJECT, "", MAX_NODES)
        written = {document.key: msgspec.json.decode(document.body, type=NodeDigests) for document in documents}
        # Each node writes before it sends its first heartbeat; other versions may not.
        others = [one.report for one in live if not one.is_self and one.report.version == build.version()]
        names = {_name(one.host, one.pid) for one in others} - {one.name for one in written.values()}
        found = dict.fromkeys(sorted(names), "database")
        for key, other in written.items():
            if now - other.at > STOPPED_MS:
                await self.documents.delete(KIND, PROJECT, key)
            elif other.secret not in self._secrets:
                found[other.name] = "project secret"
            elif (other.secret, other.version) == (self._secrets[0], build.version()) and other.parts != parts:
                found[other.name] = ", ".join(name for name in parts if other.parts.get(name) != parts[name])
        return found

    async def remove(self) -> None:
        """Delete this node's digests."""
        if self._secrets:
            await self.documents.delete(KIND, PROJECT, self._key)

    def _parts(self) -> dict[str, str]:
        store, channels = self.settings.store, self.settings.channels
        values = {
            "encryption keys": (self.keys.current, *self.keys.previous),
            "retention": (store.retention, store.tombstones, store.newcomers, store.topic_history),
            "limits": self.settings.limits,
            "mail servers and other channels": msgspec.structs.replace(channels, encryption_key=None),
            "access": self.settings.access,
        }
        key = self.project.secret.encode()
        return {
            name: hmac.digest(key, name.encode() + msgspec.json.encode(value, enc_hook=str), "sha256").hex()
            for name, value in values.items()
        }


def _name(host: str, process: int) -> str:
    return f"{host} (process {process})"
