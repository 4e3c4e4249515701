"""The workflows of a project and its tenants: which version is current, and whether it is active.

A node caches what it reads for CACHE_SECONDS, so a change takes effect on every node within that time. The definition
of a version changes only when a tenant is erased and created again."""

import asyncio
import functools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.channels.catalog import TEMPLATES, no_template
from bellcast.documents.store import Documents, ShortCache, Versions, WriteScript, push_version
from bellcast.documents.types import PROJECT, Document, StoredVersion, draft_kind
from bellcast.kernel import validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.templates import rendering
from bellcast.templates.types import BASE_LAYOUT, Template
from bellcast.workflows import definitions
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store.runs import Runs

WORKFLOWS = "workflows"
# The names of live events that a version of a workflow waits for. Publishing other events needs no search for waiting
# runs.
AWAITED = "awaited-events"
UNKNOWN = "There is no workflow with this key."
# A caller that is restricted to a tenant writes its workflows, so their steps could call any function with any data.
OWN_FUNCTIONS = (
    "must not be python in a tenant's workflow: only workflows of the project call functions of the app. Start one of "
    "them with a step of the type trigger"
)
# Maximum runs that one transaction makes due again: about 10 ms.
RESUME_BATCH_ROWS = 250
# Maximum cached definitions: 50 steps take about 20 KB.
CACHED_DEFINITIONS = 1000


class CurrentVersion(Struct, frozen=True, kw_only=True):
    """The current version of a workflow, as stored. Code-defined ones are read-only in REST."""

    version: int
    active: bool = True
    is_code: bool = False
    definition: dict[str, Any]


class Workflow(Struct, frozen=True, kw_only=True):
    """A workflow that applies to a tenant. `owner` is the tenant that defines it: the project or the tenant itself."""

    key: str
    owner: str
    current: CurrentVersion

    @property
    def item(self) -> dict[str, Any]:
        """The workflow as the API returns it."""
        current = self.current
        added = {"key": self.key, "tenant": self.owner or None, "version": current.version, "active": current.active}
        added["in_code"] = current.is_code
        return {**current.definition, **added}


@lru_cache(CACHED_DEFINITIONS)
def parsed(body: bytes) -> Definition:
    """Return the definition of a stored version."""
    return definitions.of_valid(msgspec.json.decode(body))


_decode = msgspec.json.Decoder(CurrentVersion).decode


def stored(document: Document, owner: str) -> Workflow:
    """Return the workflow of a stored object."""
    return Workflow(key=document.key, owner=owner, current=_decode(document.body))


def write_version(
    name: Mapping[str, str], before: bytes | None, after: bytes | None, now: int, note: str, by: str
) -> WriteScript:
    """Write a checked workflow (kind, tenant, key) as a new version, or delete it with its draft. Return False, and write
    nothing, if its body is not `before`."""
    if after is None:
        return push_version(name, before, None, now)
    value = _decode(after)
    added = StoredVersion(0, definitions.encode(value.definition), now, by, note)
    events = _awaited(name["tenant"], value.definition)
    return push_version(name, before, added, now, functools.partial(_numbered, value), events)


def _numbered(value: CurrentVersion, version: int) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(value, version=version))


def _awaited(owner: str, definition: dict[str, Any]) -> list[dict[str, str]]:
    """Return the names of the events that a workflow waits for, as objects."""
    waits = definitions.of_valid(definition).live_waits
    return [{"kind": AWAITED, "tenant": owner, "key": step.fields["event"]} for step in waits]


class WorkflowCatalog:
    """Reads and writes workflows."""

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._current = ShortCache[tuple[str, str], CurrentVersion | None](clock)
        self._bodies = ShortCache[tuple[str, str, int], bytes](clock, CACHED_DEFINITIONS)
        self._compiler = rendering.BackgroundCompiler()
        self.changes = 0  # by this process
        self.expected: frozenset[str] = frozenset()  # workflows that this process is about to write

    def forget(self) -> None:
        """Drop the cached current versions after this process changed one."""
        self._current.forget()
        self.changes += 1

    async def find(self, tenant: str, key: str, *, is_fresh: bool = False) -> Workflow | None:
        """Return the workflow of a key that applies to a tenant: its own, else the project's. With `is_fresh` from the store,
        because another node may have changed it within CACHE_SECONDS."""
        for owner in dict.fromkeys((tenant, PROJECT)):
            if (current := await self.current(owner, key, is_fresh=is_fresh)) is not None:
                return Workflow(key=key, owner=owner, current=current)
        return None

    async def get(self, tenant: str, key: str) -> Workflow:
        """Like `find`; raises NotFound."""
        found = await self.find(tenant, key)
        if found is None:
            raise await self.unknown(tenant, key)
        return found

    async def unknown(self, tenant: str, key: str) -> NotFound:
        """Return the error for an unknown workflow, with the nearest key."""
        return NotFound(f"{UNKNOWN[:-1]}{await Documents(self._db).suggestion(WORKFLOWS, tenant, key) or '.'}")

    async def unknown_name(self, tenant: str, key: str) -> str:
        """Return the error of a field that names an unknown workflow."""
        return f"names an unknown workflow {key[:100]!r}{await Documents(self._db).suggestion(WORKFLOWS, tenant, key)}"

    async def current(self, owner: str, key: str, *, is_fresh: bool = False) -> CurrentVersion | None:
        """Return the current version of this owner's workflow, without inheritance."""

        async def read() -> CurrentVersion | None:
            document = await Documents(self._db).get(WORKFLOWS, owner, key)
            return None if document is None else _decode(document.body)

        return await (self._current.read if is_fresh else self._current.get)((owner, key), read)

    async def resume_if_active(self, owner: str, key: str) -> None:
        """Make the paused runs of a workflow due, unless it is stored as inactive. Runs of a deleted workflow
        finish."""
        current = await self.current(owner, key, is_fresh=True)
        if current is None or current.active:
            await self._resume(owner, key)

    async def _resume(self, owner: str, key: str) -> None:
        resumed = RESUME_BATCH_ROWS
        while resumed >= RESUME_BATCH_ROWS:
            resumed = await Runs(self._db).resume(key, owner, self._clock.now(), RESUME_BATCH_ROWS)

    async def definition(self, owner: str, key: str, version: int) -> Definition:
        """Return the definition of a version, which remains stored after the workflow was changed or deleted."""

        async def read() -> bytes:
            found = await Versions(self._db).find(WORKFLOWS, owner, key, version)
            if found is None:
                raise NotFound(f"There is no version {version} of this workflow.")
            await self._compiler.compile(found.body)
            return found.body

        return parsed(await self._bodies.get((owner, key, version), read))

    async def check(self, tenant: str, key: str, value: Any) -> Definition:
        """Check a definition and its references. Raises Invalid with all errors."""
        # In a thread: compiling the texts of the steps takes seconds and would block the event loop.
        definition = await asyncio.to_thread(definitions.parse, value)
        errors = [
            error
            for path, step in steps_with_paths(value)
            for error in await self._reference_errors(tenant, key, path, step)
        ]
        validation.check(errors)
        return definition

    async def _reference_errors(self, tenant: str, key: str, path: str, step: Mapping[str, Any]) -> list[FieldError]:
        """Return the errors of the template, the workflow and the function that a step names. A workflow may trigger itself."""
        if step["type"] == "python" and tenant != PROJECT:
            return [FieldError(f"{path}.type", OWN_FUNCTIONS)]
        for field in ("template", "layout"):
            name = step.get(field)
            if not isinstance(name, str) or (field, name) == ("layout", BASE_LAYOUT):
                continue
            # The project's template with the parts that the tenant overrides
            stored = await self._stored(TEMPLATES, tenant, name)
            for one in stored:
                await self._compiler.compile(one.body)
            parts = [msgspec.json.decode(one.body, type=Template) for one in stored]
            template = functools.reduce(Template.overridden_by, parts) if parts else None
            if template is None:
                return [FieldError(f"{path}.{field}", await no_template(self._db, tenant, name))]
            if field == "layout" and (problem := rendering.layout_problem(template, name)) is not None:
                return [FieldError(f"{path}.{field}", problem)]
        workflow = step.get("workflow")
        is_trigger = step["type"] == "trigger" and isinstance(workflow, str) and workflow not in (key, *self.expected)
        if is_trigger and not await self._stored(WORKFLOWS, tenant, str(workflow)):
            return [FieldError(f"{path}.workflow", await self.unknown_name(tenant, str(workflow)))]
        return []

    async def _stored(self, kind: str, tenant: str, key: str) -> list[Document]:
        """Return the objects with this key: the project's, then the tenant's."""
        found = [await Documents(self._db).get(kind, owner, key) for owner in dict.fromkeys((PROJECT, tenant))]
        return [one for one in found if one is not None]

    async def put(
        self,
        owner: str,
        key: str,
        value: dict[str, Any],
        *,
        is_code: bool = False,
        replaces: Document | UnsetType | None = UNSET,
        draft: Document | None = None,
        by: str | None = None,
        note: str | None = None,
    ) -> tuple[Document, bool]:
        """Write a validated definition as a new version, unless it equals the last one, and delete the draft that it was. Return
        the stored workflow, and whether it is new. Raises Conflict for a workflow that is defined in code, and PreconditionFailed if
        the stored workflow is not `replaces` (None: it must be new), or the stored draft is not `draft`."""
        while True:
            found = await self.writable(owner, key, is_code=is_code)
            before = found if replaces is UNSET else replaces or None
            is_active = is_code or before is None or _decode(before.body).active
            current = CurrentVersion(version=0, active=is_active, is_code=is_code, definition=value)
            published = await Versions(self._db).publish(
                WORKFLOWS,
                owner,
                key,
                StoredVersion(0, definitions.encode(value), self._clock.now(), by, note),
                replaces=None if before is None else before.body,
                draft=None if draft is None else draft.body,
                current=functools.partial(_numbered, current),
                events=_awaited(owner, value),
            )
            if published is not None:
                await self._begin(owner, key, current)
                now = self._clock.now()
                return Document(key, _numbered(current, published.version), now, now), before is None
            if replaces is not UNSET:
                raise PreconditionFailed

    async def plan(self, owner: str, key: str, value: dict[str, Any]) -> Workflow:
        """Return the workflow that `put` would write. Raises Conflict like `put`."""
        found = await self.writable(owner, key)
        before = None if found is None else _decode(found.body)
        last = await Versions(self._db).last(WORKFLOWS, owner, key)
        is_same = last is not None and last.body == definitions.encode(value)
        version = (0 if last is None else last.version) + (not is_same)
        current = CurrentVersion(version=version, active=before is None or before.active, definition=value)
        return Workflow(key=key, owner=owner, current=current)

    async def change(self, owner: str, key: str, *, active: bool | None, version: int | None) -> Workflow:
        """Activate or deactivate a workflow, or make another version current. Activation makes its paused runs due.
        Raises NotFound and Conflict."""
        changes: dict[str, Any] = {} if active is None else {"active": active}
        while (before := await self.writable(owner, key)) is not None:
            if version is not None:
                found = await Versions(self._db).find(WORKFLOWS, owner, key, version)
                if found is None:
                    raise Invalid.of("version", f"names an unknown version {version}")
                changes |= {"version": version, "definition": msgspec.json.decode(found.body)}
            current = msgspec.structs.replace(_decode(before.body), **changes)
            body, now = msgspec.json.encode(current), self._clock.now()
            if await Documents(self._db).change(WORKFLOWS, owner, key, before.body, body, now):
                await self._begin(owner, key, current)
                return Workflow(key=key, owner=owner, current=current)
        raise NotFound(UNKNOWN)

    async def delete(self, owner: str, key: str, *, replaces: Document | UnsetType = UNSET) -> bool:
        """Delete a workflow. Its current runs finish, including paused ones. Return False if it does not exist. Raises
        Conflict, and PreconditionFailed if the stored workflow is not `replaces`."""
        await self.writable(owner, key)
        documents = Documents(self._db)
        if replaces is UNSET:
            deleted = await documents.delete(WORKFLOWS, owner, key)
        elif not (deleted := await documents.change(WORKFLOWS, owner, key, replaces.body, None, self._clock.now())):
            raise PreconditionFailed
        self.forget()
        if deleted:
            await documents.delete(draft_kind(WORKFLOWS), owner, key)
            await self._resume(owner, key)
        return deleted

    async def writable(self, owner: str, key: str, *, is_code: bool = False) -> Document | None:
        """Return a stored workflow. Raises Conflict for one that is defined in code."""
        found = await Documents(self._db).get(WORKFLOWS, owner, key)
        if found is not None and _decode(found.body).is_code and not is_code:
            raise Conflict("This workflow is defined in code: change it there.")
        return found

    async def _begin(self, owner: str, key: str, current: CurrentVersion) -> None:
        """Use what was written, and make paused runs due."""
        self.forget()
        if current.active:
            await self._resume(owner, key)


def steps_with_paths(value: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return all steps of a checked definition with their paths."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    pending: list[tuple[str, Any]] = [("steps", value["steps"])]
    while pending:
        path, steps = pending.pop(0)
        for number, step in enumerate(steps):
            here = f"{path}.{number}"
            found.append((here, step))
            for branch_number, branch in enumerate(step.get("branches", ())):
                pending.append((f"{here}.branches.{branch_number}.steps", branch["steps"]))
            if "else" in step:
                pending.append((f"{here}.else", step["else"]))
    return found
