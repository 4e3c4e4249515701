"""This process among the nodes: its report for the heartbeats; digests by which nodes with other credentials or settings are found; and
the doctor inside a running server, the checks of `bellcast doctor` on the machine, the databases and the URLs, and checks that only a
running server can make."""

import asyncio
import contextlib
import hashlib
import hmac
import os
import platform
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct, field

from bellcast import build
from bellcast.console import diagnoses
from bellcast.console.types import FindingItem
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, TooMany
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import Http
from bellcast.live.types import LiveNode, NodeReport, NodeRole
from bellcast.providers.types import Provider
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


# --- the doctor

# Connections to PostgreSQL time out after 5 s: store, broker and outbox take up to 15 s in total.
MAX_SECONDS = 20.0
# Short, because reading the store's file uses a core and the disk.
STORE_SECONDS = 5.0
# A worker leases due jobs within a second, so a minute is a backlog.
MAX_QUEUE_AGE_MS = 60_000
URL_TIMEOUT = 3.0
# Connected to at the same time, those of all tenants.
MAX_MAIL_SERVERS = 50
MAX_SHOWN = 5  # objects in a finding
OK = 200


class Doctor(Struct, eq=False):
    """The checks of one running server. `probes` raise if the store or the broker cannot be used."""

    settings: Settings
    project: Project
    http: Http
    probes: Sequence[Callable[[], Awaitable[None]]]
    nodes: Callable[[], Awaitable[Sequence[LiveNode]]]
    mail_servers: Callable[[int], Awaitable[tuple[Mapping[str, Provider], int]]]
    differences: Callable[[Sequence[LiveNode]], Awaitable[Mapping[str, str]]]
    unreadable: Callable[[], Awaitable[Sequence[str]]]
    _threads: list[Future[None]] = field(default_factory=list)

    async def findings(self) -> AsyncGenerator[FindingItem]:
        """Yield the finding of each check when it ends, within a bounded time. Raises TooMany while another run is in progress."""
        from bellcast.server import checks

        # A check in a thread only ends by its own timeouts; until then, no other run begins.
        if any(not thread.done() for thread in self._threads):
            raise TooMany("The doctor is running: one run at a time.", retry_after=5)
        nodes = await self.nodes()
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[FindingItem | None]()

        def check(findings: Iterator[FindingItem]) -> None:
            for finding in findings:
                loop.call_soon_threadsafe(queue.put_nowait, finding)

        blocking = [
            checks.check(self.settings, STORE_SECONDS, len(nodes)),
            checks.check_urls(self.settings),
        ]
        pool = ThreadPoolExecutor(len(blocking), "doctor")
        self._threads = [pool.submit(check, findings) for findings in blocking]
        pool.shutdown(wait=False)
        ended = asyncio.gather(
            self._check_inside(nodes, queue.put_nowait),
            *map(asyncio.wrap_future, self._threads),
            return_exceptions=True,
        )
        ended.add_done_callback(lambda _: queue.put_nowait(None))
        deadline = loop.time() + MAX_SECONDS
        try:
            while (finding := await asyncio.wait_for(queue.get(), deadline - loop.time())) is not None:
                yield finding
            for error in ended.result():
                if error is not None:
                    log.error("doctor_check_failed", exc_info=error)
                    yield diagnoses.finding("check_failed", error=error)
        except TimeoutError:
            yield diagnoses.finding("checks_late", seconds=f"{MAX_SECONDS:.0f}")
        finally:
            ended.cancel()

    async def _check_inside(self, nodes: Sequence[LiveNode], report: Callable[[FindingItem], None]) -> None:
        from bellcast.server import checks

        try:
            for probe in self.probes:
                await probe()
            report(FindingItem("server", "ok", f"ready, version {build.name()}"))
        except BellcastError as error:
            report(diagnoses.finding("not_ready", error=error.detail))
        for finding in check_nodes(nodes):
            report(finding)
        with contextlib.suppress(BellcastError):  # an unavailable store is another finding
            for node, settings in (await self.differences(nodes)).items():
                report(diagnoses.finding("settings_differ", node=node, settings=settings))
            if objects := await self.unreadable():
                shown = ", ".join(objects[:MAX_SHOWN])
                report(diagnoses.finding("secrets_unreadable", number=len(objects), objects=shown))
            # Those in the settings are checked with them
            servers, rest = await self.mail_servers(MAX_MAIL_SERVERS)
            for finding in await checks.check_mail_servers("stored mail server", servers):
                report(finding)
            if rest:
                report(diagnoses.finding("mail_unchecked", number=rest, limit=MAX_MAIL_SERVERS))
        if (url := self.settings.channels.public_url) is None:
            return
        shown = checks.shown(url)
        try:
            response = await self.http.request("GET", f"{url.rstrip('/')}/healthz", headers={}, timeout=URL_TIMEOUT)
        except BellcastError as error:
            report(diagnoses.finding("public_url_unreachable", url=shown, error=error.detail))
            return
        project: object = None
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            project = msgspec.json.decode(response.body, type=dict[str, object]).get("project")
        if response.status != OK or project != self.project.key:
            report(diagnoses.finding("public_url_elsewhere", url=shown, status=response.status))
        else:
            report(FindingItem("public URL", "ok", f"{shown} reaches this project"))


def check_nodes(nodes: Sequence[LiveNode]) -> Iterator[FindingItem]:
    """Compare the versions, commits and settings revisions of the nodes with each other, and name those of other builds than this one."""
    reports = [one.report for one in nodes]
    builds = {(report.version, report.commit) for report in reports}
    revisions = sorted({report.settings_revision for report in reports})
    if len(builds) > 1:
        own = next((one.report for one in nodes if one.is_self), reports[0])
        others = [one for one in reports if (one.version, one.commit) != (own.version, own.commit)]
        shown = ", ".join(f"{one.host}:{one.pid} {build.label(one.version, one.commit)}" for one in others[:MAX_SHOWN])
        yield diagnoses.finding(
            "versions_differ",
            number=len(others),
            nodes=len(nodes),
            own=build.label(own.version, own.commit),
            others=shown,
        )
    elif len(revisions) > 1:
        yield diagnoses.finding("revisions_differ", revisions=", ".join(map(str, revisions)))
    else:
        what = "this one only" if len(nodes) == 1 else f"{len(nodes)}, with equal versions and settings revisions"
        yield FindingItem("nodes", "ok", what)
    oldest = max((report.queue_age or 0 for report in reports), default=0)
    if not any(report.runs_jobs for report in reports):
        yield diagnoses.finding("no_jobs")
    elif oldest > MAX_QUEUE_AGE_MS:
        yield diagnoses.finding("jobs_late", seconds=f"{oldest / 1000:.0f}")
    else:
        yield FindingItem("queue", "ok", "no job is late")
