"""Reactions to live events: a live event of the app causes a send or a trigger by an event source, and ends the waits of runs.

The rules of each tenant are cached for CACHE_SECONDS, so that publishing its events reads them once a second, and no others."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.documents.types import CACHE_SECONDS, MAX_CACHED, PROJECT, is_cached
from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox.types.notifications import Audience, Draft
from bellcast.kernel.concurrency import shared
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.templates.rendering import BackgroundCompiler, Renderer, TemplateError
from bellcast.templates.tenant_budget import budget_of
from bellcast.templates.types import Variables
from bellcast.workflows import engine, live_waits, triggers
from bellcast.workflows.event_source import EventSource, SourceUse, values_of
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.triggers import TriggerDraft, Triggers
from bellcast.workflows.types import runs
from bellcast.workflows.workflow_catalog import AWAITED

log = structlog.get_logger(__name__)

SOURCES, ERRORS = "sources", "source-errors"
# Publishing waits this long for the new rules, then continues with the old ones. Without old ones it refuses the event.
READ_TIMEOUT_SECONDS = 1.0
# Maximum runs that one transaction wakes: about 10 ms.
WAKE_BATCH_ROWS = 250
MAX_AWAITED = 1_000  # names of awaited events of a tenant in memory; with more, each of its events is looked up
# Prefix of the idempotency keys of sends and triggers. Clients cannot send a control character.
OWN_KEY = "\x1fsource "
MAX_ERROR = 500


class Rules(Struct, frozen=True):
    """The sources of a tenant or the project by key, and the event names that its workflows wait for; None: they are too many."""

    sources: Mapping[str, EventSource]
    awaited: frozenset[str] | None
    valid_until: int
    changes: int


class SourceFailure(NamedTuple):
    """Why the last event that a source could not use failed, and when (UTC milliseconds)."""

    reason: str
    at: int


class EventReactions(Struct, eq=False):
    """Executes and commits the reactions to live events."""

    engines: Callable[[], Engines]
    triggers: Triggers
    limits: Limits
    recorder: Recorder[SourceUse]
    _compiler: BackgroundCompiler = field(default_factory=BackgroundCompiler)
    _rules: dict[str, Rules] = {}  # by tenant
    _reading: dict[str, asyncio.Task[Rules]] = {}

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        """Return whether a source matches one of the events, or a workflow waits for its name."""
        for event in events:
            sources, is_awaited = await self._applying(event)
            if is_awaited or any(values_of(source, event) is not None for _, _, source in sources):
                return True
        return False

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Commit the reactions to events: sends and triggers of sources, and the end of waits."""
        for number, event in enumerate(events):
            sources, is_awaited = await self._applying(event)
            for owner, name, source in sources:
                own_key = None if key is None else f"{OWN_KEY}{name} {number} {key}"
                await self._apply(owner, name, source, event, own_key)
            if is_awaited:
                await self._end_waits(event)

    # --- rules

    async def _applying(self, event: LiveEvent) -> tuple[list[tuple[str, str, EventSource]], bool]:
        """Return the sources for this event name that apply in the event's tenant, with their owners and keys, and whether a
        workflow that runs there waits for it."""
        project = await self._current(PROJECT)
        own = project if event.tenant == PROJECT else await self._current(event.tenant)
        sources = [
            (event.tenant if key in own.sources else PROJECT, key, source)
            for key, source in {**project.sources, **own.sources}.items()
            if source.event == event.name
        ]
        return sources, any(names is None or event.name in names for names in (project.awaited, own.awaited))

    async def _current(self, tenant: str) -> Rules:
        known, newest = self._rules.get(tenant), self.triggers.workflow_catalog.changes
        if known and known.changes == newest and is_cached(known.valid_until, self.engines().clock.now()):
            return known
        if tenant not in self._reading:
            self._reading[tenant] = shared(self._read(tenant))
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading[tenant]), READ_TIMEOUT_SECONDS)
        except (TimeoutError, BellcastError):
            # A store that does not respond must not block live events that no known rule matches.
            if known is None:
                raise Unavailable(
                    "The event sources of the tenant cannot be read, so no event is accepted: try again."
                ) from None
            return known

    async def _read(self, tenant: str) -> Rules:
        now, changes = self.engines().clock.now(), self.triggers.workflow_catalog.changes
        documents = Documents(self.engines().db)
        try:
            sources = {one.key: _decode(one.body) async for _, one in documents.every(SOURCES, tenant)}
            names = [one.key for one in await documents.page(AWAITED, tenant, "", MAX_AWAITED + 1)]
        finally:
            del self._reading[tenant]
        if len(self._rules) >= MAX_CACHED:
            self._rules.clear()
        awaited = None if len(names) > MAX_AWAITED else frozenset(names)
        rules = self._rules[tenant] = Rules(sources, awaited, now + int(CACHE_SECONDS * 1000), changes)
        return rules

    # --- sends and triggers

    async def _apply(self, owner: str, key: str, source: EventSource, event: LiveEvent, own_key: str | None) -> None:
        """Send or trigger, if the event matches. A failing source does not affect others."""
        reason = None
        try:
            values = values_of(source, event)
            if values is None:
                return
            await self._fire(source, event.tenant, values, own_key)
        except BellcastError as error:
            if error.is_server_error:
                raise
            reason = error.reason
        except (TemplateError, msgspec.ValidationError, RecursionError) as error:
            reason = str(error)
        # Not after an error of the server: the event is published again.
        self.recorder.add(owner, key, SourceUse.of_event(self.engines().clock.now()))
        if reason is None:
            return
        log.warning("event_source_failed", source=key, event_name=event.name, reason=reason)
        # Store the error for the event's tenant, because it may contain data of the event.
        engines = self.engines()
        body = msgspec.json.encode({"last_error": reason[:MAX_ERROR]})
        await Documents(engines.db).put(ERRORS, event.tenant, key, body, engines.clock.now())

    async def last_failures(self, tenant: str, keys: Sequence[str]) -> dict[str, SourceFailure]:
        """Return the last failures of sources with events of this tenant, of those that have failed."""
        found = await Documents(self.engines().db).several([(ERRORS, tenant, key) for key in keys])
        return {
            key: SourceFailure(msgspec.json.decode(document.body)["last_error"], document.updated_at)
            for (_, _, key), document in found.items()
        }

    async def _fire(self, source: EventSource, tenant: str, values: Mapping[str, Any], own_key: str | None) -> None:
        engines = self.engines()
        await self._compiler.compile(msgspec.json.encode(source), has_html=False)
        settings = await self.triggers.router.catalog.tenant(tenant)
        await budget_of(tenant).wait()
        variables = Variables(values=values, locale=settings.locale, zone=settings.timezone, tenant=tenant)
        render = Renderer(variables).render
        if source.notification is not None:
            filled = engine.filled(source.notification, values, render)
            filled["to"] = _numbers_as_text(filled.get("to"))
            draft = msgspec.convert(filled, Draft)
            # A tenant's event can only send within this tenant; the default tenant's events may name any tenant.
            own = draft.tenant if tenant == DEFAULT_TENANT else tenant
            draft = msgspec.structs.replace(draft, tenant=own)
            own_key = own_key if draft.idempotency_key is None else None
            await sending.send(engines, self.limits, draft, own_key=own_key)
            return
        to = msgspec.convert(_numbers_as_text(engine.filled(source.to, values, render)), str | list[str] | Audience)
        trigger = TriggerDraft(to=to, data=engine.filled(source.data, values, render), tenant=tenant or None)
        triggers.check(trigger, self.limits)
        trigger = msgspec.structs.replace(trigger, idempotency_key=own_key)
        await self.triggers.start(source.workflow or "", trigger)

    # --- waits

    async def _end_waits(self, event: LiveEvent) -> None:
        """Deliver the event to the runs that wait for it."""
        engines, value = self.engines(), live_waits.values_of(event)
        body = msgspec.json.encode(value)
        after = ("", "")
        while True:
            page = await Runs(engines.db).waiting(event.tenant, event.name, event.stream, after, WAKE_BATCH_ROWS)
            matched = []
            for wait in page:
                definition = await self.triggers.workflow_catalog.definition(wait.owner, wait.workflow, wait.version)
                step = next(one for one in definition.live_waits if one.key == wait.step)
                if live_waits.matches(step, value, runs.decode(wait.body), wait.recipient):
                    matched.append(wait)
            if matched:
                await Runs(engines.db).end_waits(matched, body)
                engines.router.messages_added()
            if len(page) < WAKE_BATCH_ROWS:
                return
            after = (page[-1].run, page[-1].step)


def _numbers_as_text(to: Any) -> Any:
    """Convert recipients' keys that are numbers in the event's data to text."""
    if isinstance(to, list):
        return [_numbers_as_text(one) for one in to]
    return str(to) if isinstance(to, int) and not isinstance(to, bool) else to


_decode = msgspec.json.Decoder(EventSource).decode
