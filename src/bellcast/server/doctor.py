"""The doctor inside a running server: the checks of `bellcast doctor` on the machine, the databases and the URLs, and
checks that only a running server can make."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
import structlog
from msgspec import Struct, field

from bellcast import build
from bellcast.console import diagnoses
from bellcast.console.types import FindingItem
from bellcast.kernel.errors import BellcastError, TooMany
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import Http
from bellcast.live.types import LiveNode
from bellcast.providers.types import Provider
from bellcast.settings import Settings

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
log = structlog.get_logger(__name__)


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

        blocking = [checks.check(self.settings, STORE_SECONDS, len(nodes)), checks.check_urls(self.settings)]
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
