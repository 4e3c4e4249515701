"""Event sources: a live event of the app causes a send or a trigger by a source, and ends the waits of runs. How often each source
is used is counted.

The rules of each tenant are cached for CACHE_SECONDS, so that publishing its events reads them once a second, and no others."""

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.documents.types import CACHE_SECONDS, MAX_CACHED, PROJECT, SOURCES, is_cached
from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox.types import Audience, Draft, draft_errors
from bellcast.kernel import times, validation
from bellcast.kernel.concurrency import shared
from bellcast.kernel.errors import MAX_REASON, BellcastError, FieldError, TenantErased, Unavailable
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.field_limits import Limit, Schema
from bellcast.kernel.http.validation_errors import field_error
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits
from bellcast.templates import conditions
from bellcast.templates.budget import TemplateError, budget_of
from bellcast.templates.rendering import BackgroundCompiler, Renderer, source_errors
from bellcast.templates.types import Variables
from bellcast.workflows import engine
from bellcast.workflows.schedule_times import CONTENT
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import TriggerDraft
from bellcast.workflows.workflow_catalog import AWAITED

log = structlog.get_logger(__name__)

# --- one source: its definition, and the events that it matches

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
ADJACENT = re.compile(r"\{[a-z_][a-z0-9_]*\}\{[a-z_][a-z0-9_]*\}")
MAX_PLACEHOLDERS = 5
ROOTS = frozenset({"event", "topic"})
# What makes a JSON value depend on the event: a template, or a reference `{"var": path}`.
FILLED = re.compile(rb"\{[{%#]|\{\"var\":")


class EventSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maps a live event of the app (`event`, on a `topic` or, with null, to a recipient) to a `notification` or the
    trigger of a `workflow`. A placeholder such as `{provider}` in the topic is `topic.provider` in templates and in the
    condition `if`."""

    event: Annotated[str, Limit("event_name", 1)]
    topic: str | None = None
    condition: dict[str, Any] | None = msgspec.field(default=None, name="if")
    notification: dict[str, Any] | None = None
    workflow: str | None = None
    to: Any = None
    data: dict[str, Any] = {}

    SCHEMA: ClassVar[Schema] = {"not": {"anyOf": CONTENT}}


def errors(source: EventSource, limits: Limits) -> validation.FieldErrors:
    """Yield all errors of a source, except those of references."""
    yield from validation.text("event", source.event, limits.event_name)
    if source.topic is not None:
        names = PLACEHOLDER.findall(source.topic)
        if len(names) > MAX_PLACEHOLDERS or len(set(names)) != len(names):
            yield FieldError("topic", f"must have at most {MAX_PLACEHOLDERS} placeholders with different names")
        if ADJACENT.search(source.topic):
            yield FieldError("topic", "must have text between two placeholders")
        yield from validation.topic("topic", PLACEHOLDER.sub("x", source.topic), limits)
    if (source.workflow is None) == (source.notification is None):
        yield FieldError("workflow", "must have either workflow or notification")
    if source.notification is not None:
        if source.to is not None:
            yield FieldError("to", "must be a field of the notification instead")
        if source.data:
            yield FieldError("data", "must be a field of the notification instead")
        if source.notification.get("to") is None:
            yield FieldError("notification.to", "is required")
        for name in source.notification.keys() - set(Draft.__struct_fields__):
            yield FieldError(f"notification.{name}", "is not known")
        yield from _template_errors("notification", source.notification)
    elif source.to is None:
        yield FieldError("to", "is missing")
    yield from _fixed_errors(source, limits)
    yield from _template_errors("to", source.to)
    yield from _template_errors("data", source.data)
    if not source.event:
        yield FieldError("event", "must not be empty")
    if source.condition is not None:
        yield from conditions.errors_of("if", source.condition, frozenset(), ROOTS)


def _fixed_errors(source: EventSource, limits: Limits) -> validation.FieldErrors:
    """Yield the errors of the fields that no event changes. Times pass."""
    written = {"to": source.to} if source.notification is None else source.notification
    names = written.keys() & set(Draft.__struct_fields__) - {"send_at", "timezone", "expires_at"}
    given = {one: written[one] for one in names if written[one] is not None}
    fixed = {name: one for name, one in given.items() if not FILLED.search(msgspec.json.encode(one))}
    filled_title = {"title": "x"} if names & {"title", "type", "template"} - fixed.keys() else {}
    to = written.get("to")
    prefix = "" if source.notification is None else "notification."
    if "to" in fixed:
        fixed["to"] = engine.numbers_as_text(to)
    elif isinstance(to, Mapping) and to.keys() != {"var"}:
        for name in to.keys() - set(Audience.__struct_fields__):
            yield FieldError(f"{prefix}to.{name[:100]}", "is not known")
    is_everyone = isinstance(to, Mapping) and not to.keys().isdisjoint({"all", "var"})  # who may be of all tenants
    fixed.setdefault("to", {"all": True} if is_everyone else "x")
    errors: list[FieldError]
    try:
        if source.notification is None:
            errors = runs.draft_errors(msgspec.convert(fixed, TriggerDraft), limits)
        else:
            draft = msgspec.convert({**filled_title, **fixed}, Draft)
            errors = draft_errors(draft, limits, times.to_rfc3339(0))
    except msgspec.ValidationError as error:
        errors = [field_error(error)]
    yield from (FieldError(f"{prefix}{one.field}", one.message) for one in errors)


def _template_errors(path: str, value: Any) -> validation.FieldErrors:
    if isinstance(value, str):
        yield from source_errors(path, value, ROOTS, is_html=False)
    elif isinstance(value, Mapping):
        if value.keys() == {"var"}:
            yield from conditions.variable_errors(path, value["var"], frozenset(), ROOTS)
            return
        for name, inner in value.items():
            yield from _template_errors(f"{path}.{name[:100]}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _template_errors(f"{path}.{number}", inner)


def _placeholders(pattern: str, topic: str) -> dict[str, str] | None:
    """Return the values of the placeholders; None if the topic does not match. A placeholder matches one part between
    dots, as long as possible; at the end, it matches the rest."""
    first, *rest = PLACEHOLDER.split(pattern)
    names, texts = rest[0::2], rest[1::2]

    @functools.cache  # a regular expression would try all combinations of ends
    def values_from(number: int, start: int) -> tuple[str, ...] | None:
        if number == len(names):
            return () if start == len(topic) else None
        is_rest = number == len(names) - 1 and not texts[number]
        part_end = len(topic) if is_rest else start + len(topic[start:].partition(".")[0])
        for end in range(part_end, start, -1):
            following = (
                values_from(number + 1, end + len(texts[number])) if topic.startswith(texts[number], end) else None
            )
            if following is not None:
                return (topic[start:end], *following)
        return None

    values = values_from(0, len(first)) if topic.startswith(first) else None
    return None if values is None else dict(zip(names, values, strict=True))


def values_of(source: EventSource, event: LiveEvent) -> dict[str, Any] | None:
    """Return the variables of templates and conditions; None if the event does not match."""
    names: dict[str, str] = {}
    if (source.topic is None) != (event.topic is None):
        return None
    if source.topic is not None:
        found = _placeholders(source.topic, event.topic or "")
        if found is None:
            return None
        names = found
    values = {"event": engine.event_values(event), "topic": names}
    if source.condition is not None and not conditions.evaluate(source.condition, values):
        return None
    return values


# --- the use of a source

HOURS_A_DAY = 24
# The kind under which it is stored, and how long after the last event.
USES = "source-uses"
USES_MS = 30 * times.DAY_MS


class SourceUse(Struct, frozen=True):
    """How many events a source had in each hour since 1970 of about a day, and when the last one was (UTC milliseconds)."""

    hours: dict[int, int]
    last_at: int

    def plus(self, later: "SourceUse") -> "SourceUse":
        """Add what another process or a later time had, without the hours that are over a day old."""
        last_at = max(self.last_at, later.last_at)
        numbers = {hour: self.hours.get(hour, 0) + later.hours.get(hour, 0) for hour in {*self.hours, *later.hours}}
        first = last_at // times.HOUR_MS - HOURS_A_DAY
        return SourceUse({hour: number for hour, number in numbers.items() if hour >= first}, last_at)

    def in_day(self, now: int) -> tuple[int, bool]:
        """Return the events of the last 24 hours: without those of the hour in which these began, and whether it had none."""
        begun = now // times.HOUR_MS - HOURS_A_DAY
        return sum(number for hour, number in self.hours.items() if hour > begun), begun not in self.hours


# --- reactions of all sources, and of runs that wait

ERRORS = "source-errors"
# Publishing waits this long for the new rules, then continues with the old ones. Without old ones it refuses the event.
READ_TIMEOUT_SECONDS = 1.0
# Maximum runs that one transaction wakes: about 10 ms.
WAKE_BATCH_ROWS = 250
MAX_AWAITED = 1_000  # names of awaited events of a tenant in memory; with more, each of its events is looked up
# Prefix of the idempotency keys of sends and triggers. Clients cannot send a control character.
OWN_KEY = "\x1fsource "


class Rules(Struct, frozen=True):
    """The sources of a tenant or the project by key, and the event names that its workflows wait for; None: they are too many."""

    sources: Mapping[str, EventSource]
    awaited: frozenset[str] | None
    valid_until: int
    changes: int


class EventReactions(Struct, eq=False):
    """Executes and commits the reactions to live events."""

    engines: Callable[[], Engines]
    triggers: Triggers
    limits: Limits
    recorder: Recorder[SourceUse]
    _compiler: BackgroundCompiler = field(default_factory=BackgroundCompiler)
    _rules: dict[str, Rules] = {}  # by tenant
    # By tenant and number of changes: a read that began before the last change may not have it.
    _reading: dict[tuple[str, int], asyncio.Task[Rules]] = {}

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
        if (tenant, newest) not in self._reading:
            self._reading[tenant, newest] = shared(self._read(tenant, newest))
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading[tenant, newest]), READ_TIMEOUT_SECONDS)
        except (TimeoutError, BellcastError):
            # A store that does not respond must not block live events that no known rule matches.
            if known is None:
                raise Unavailable(
                    "The event sources of the tenant cannot be read, so no event is accepted: try again."
                ) from None
            return known

    async def _read(self, tenant: str, changes: int) -> Rules:
        now, documents = self.engines().clock.now(), Documents(self.engines().db)
        try:
            sources = {one.key: _decode(one.body) async for _, one in documents.every(SOURCES, tenant)}
            names = [one.key for one in await documents.page(AWAITED, tenant, "", MAX_AWAITED + 1)]
        finally:
            del self._reading[tenant, changes]
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
        now = self.engines().clock.now()
        self.recorder.add(owner, key, SourceUse({now // times.HOUR_MS: 1}, now))
        if reason is None:
            return
        log.warning("event_source_failed", source=key, event_name=event.name, reason=reason)
        # Store the error for the event's tenant, because it may contain data of the event.
        body = msgspec.json.encode({"last_error": reason[:MAX_REASON]})
        with contextlib.suppress(TenantErased):
            await Documents(self.engines().db).put(ERRORS, event.tenant, key, body, now)

    async def last_failures(self, tenant: str, keys: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return why the last events of this tenant that sources could not use failed, and when (UTC milliseconds), by source."""
        documents, owners = Documents(self.engines().db), dict.fromkeys((tenant, PROJECT))
        failures = await documents.several([(ERRORS, tenant, key) for key in keys])
        sources = await documents.several([(SOURCES, owner, key) for _, _, key in failures for owner in owners])
        found: dict[str, tuple[str, int]] = {}
        for (_, _, key), failure in failures.items():
            source = sources.get((SOURCES, tenant, key)) or sources.get((SOURCES, PROJECT, key))
            # Else it is of an earlier source with this key, which was deleted or is overridden.
            if source is not None and failure.updated_at >= source.created_at:
                found[key] = msgspec.json.decode(failure.body)["last_error"], failure.updated_at
        return found

    async def _fire(self, source: EventSource, tenant: str, values: Mapping[str, Any], own_key: str | None) -> None:
        engines = self.engines()
        await self._compiler.compile(msgspec.json.encode(source), has_html=False)
        settings = await self.triggers.router.catalog.tenant(tenant)
        await budget_of(tenant).wait()
        variables = Variables(values=values, locale=settings.locale, zone=settings.timezone, tenant=tenant)
        render = Renderer(variables).render
        if source.notification is not None:
            filled = engine.filled(source.notification, values, render)
            filled["to"] = engine.numbers_as_text(filled.get("to"))
            draft = msgspec.convert(filled, Draft)
            # A tenant's event can only send within this tenant; the default tenant's events may name any tenant.
            own = draft.tenant if tenant == DEFAULT_TENANT else tenant
            draft = msgspec.structs.replace(draft, tenant=own)
            own_key = own_key if draft.idempotency_key is None else None
            await sending.send(engines, self.limits, draft, own_key=own_key)
            return
        to = engine.recipients_in(engine.filled(source.to, values, render))
        trigger = TriggerDraft(to=to, data=engine.filled(source.data, values, render), tenant=tenant or None)
        validation.check(runs.draft_errors(trigger, self.limits))
        trigger = msgspec.structs.replace(trigger, idempotency_key=own_key)
        await self.triggers.start(source.workflow or "", trigger)

    # --- waits

    async def _end_waits(self, event: LiveEvent) -> None:
        """Deliver the event to the runs that wait for it."""
        engines, value = self.engines(), engine.event_values(event)
        body = msgspec.json.encode(value)
        after = ("", "")
        while True:
            page = await Runs(engines.db).waiting(event.tenant, event.name, event.stream, after, WAKE_BATCH_ROWS)
            matched = []
            for wait in page:
                definition = await self.triggers.workflow_catalog.definition(wait.owner, wait.workflow, wait.version)
                step = next(one for one in definition.live_waits if one.key == wait.step)
                if engine.matches(step, value, runs.decode(wait.body), wait.recipient):
                    matched.append(wait)
            if matched:
                await Runs(engines.db).end_waits(matched, body)
                engines.router.wake_jobs()
            if len(page) < WAKE_BATCH_ROWS:
                return
            after = (page[-1].run, page[-1].step)


_decode = msgspec.json.Decoder(EventSource).decode
