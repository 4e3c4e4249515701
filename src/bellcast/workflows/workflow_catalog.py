"""The workflows of a project and its tenants: which version is current, and whether it is active.

A node caches what it reads for CACHE_SECONDS, so a change takes effect on every node within that time. The definition
of a version changes only when a tenant is erased and created again."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.channels.catalog import no_template
from bellcast.documents.store import Documents, ObjectForm, ShortCache, Versions
from bellcast.documents.types import PROJECT, TEMPLATES, WORKFLOWS, Document, StoredVersion
from bellcast.kernel import concurrency, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bellcast.templates import rendering
from bellcast.templates.types import BASE_LAYOUT, Template
from bellcast.workflows import definitions
from bellcast.workflows.definitions import Definition
from bellcast.workflows.store import Runs

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


_decode = msgspec.json.Decoder(CurrentVersion).decode


def stored(document: Document, owner: str) -> Workflow:
    """Return the workflow of a stored object."""
    return Workflow(key=document.key, owner=owner, current=_decode(document.body))


class WorkflowForm(ObjectForm, frozen=True):
    """How workflows are stored: with whether they are active, which a new version leaves as it is, and whether they are defined in
    code. Their versions are definitions."""

    is_versioned: bool = True
    is_code: bool = False

    def body(self, value: Any, before: bytes | None) -> bytes:
        is_active = self.is_code or before is None or _decode(before).active
        return msgspec.json.encode(CurrentVersion(version=0, active=is_active, is_code=self.is_code, definition=value))

    def numbered(self, body: bytes, version: int) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(_decode(body), version=version))

    def content(self, body: bytes) -> bytes:
        return definitions.encode(_decode(body).definition)

    def restored(self, body: bytes, version: StoredVersion) -> bytes:
        changes = {"version": version.version, "definition": msgspec.json.decode(version.body)}
        return msgspec.json.encode(msgspec.structs.replace(_decode(body), **changes))

    def events(self, owner: str, body: bytes) -> list[dict[str, str]]:
        waits = definitions.of_valid(_decode(body).definition).live_waits
        return [{"kind": AWAITED, "tenant": owner, "key": step.fields["event"]} for step in waits]

    def check_writable(self, body: bytes) -> None:
        if _decode(body).is_code and not self.is_code:
            raise Conflict("This workflow is defined in code: change it there.")


FORM = WorkflowForm()


class WorkflowCatalog:
    """Reads and writes workflows."""

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._current = ShortCache[tuple[str, str], CurrentVersion | None](clock)
        self._definitions = ShortCache[tuple[str, str, int], Definition](clock, CACHED_DEFINITIONS)
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
        resumed = RESUME_BATCH_ROWS if current is None or current.active else 0
        while resumed >= RESUME_BATCH_ROWS:
            resumed = await Runs(self._db).resume(key, owner, self._clock.now(), RESUME_BATCH_ROWS)

    async def definition(self, owner: str, key: str, version: int) -> Definition:
        """Return the definition of a version, which remains stored after the workflow was changed or deleted."""

        async def read() -> Definition:
            found = await Versions(self._db).find(WORKFLOWS, owner, key, version)
            if found is None:
                raise NotFound(f"There is no version {version} of this workflow.")
            await self._compiler.compile(found.body)
            return definitions.of_valid(msgspec.json.decode(found.body))

        return await self._definitions.get((owner, key, version), read)

    async def check(self, tenant: str, key: str, value: Any) -> Definition:
        """Check a definition and its references. Raises Invalid with all errors."""
        # In a thread: compiling the texts of the steps takes seconds and would block the event loop.
        definition = await concurrency.in_turn(tenant, definitions.parse, value)
        validation.check(await self._reference_errors(tenant, key, value))
        return definition

    async def _reference_errors(self, tenant: str, key: str, value: Any) -> list[FieldError]:
        """Return the errors of the templates, the workflows and the functions that the steps of a valid definition name."""
        steps = steps_with_paths(value["steps"])
        return [error for path, step, _ in steps for error in await self._step_errors(tenant, key, path, step)]

    async def _step_errors(self, tenant: str, key: str, path: str, step: Mapping[str, Any]) -> list[FieldError]:
        """Return the errors of what a step names. A workflow may trigger itself."""
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

    async def put(self, owner: str, key: str, value: dict[str, Any], *, is_code: bool = False) -> tuple[Document, bool]:
        """Write a checked definition. Return the stored workflow, and whether it is new. Raises Conflict for a workflow that is
        defined in code."""
        before = await Documents(self._db).get(WORKFLOWS, owner, key)
        form = WorkflowForm(is_code=is_code)
        written = await form.write(self._db, self._clock, (WORKFLOWS, owner, key), value, before)
        await self.written([(owner, key, is_code)])
        return written

    async def change(self, owner: str, key: str, *, active: bool | None, version: int | None) -> Workflow:
        """Activate or deactivate a workflow, or make another version current. Activation makes its paused runs due.
        Raises NotFound and Conflict."""
        while (before := await Documents(self._db).get(WORKFLOWS, owner, key)) is not None:
            FORM.check_writable(before.body)
            body = before.body
            if version is not None:
                found = await Versions(self._db).find(WORKFLOWS, owner, key, version)
                if found is None:
                    raise Invalid.of("version", f"names an unknown version {version}")
                # What was stored is valid; the objects that it names may have been deleted since.
                if errors := await self._reference_errors(owner, key, msgspec.json.decode(found.body)):
                    wrong = f"{errors[0].field}: {errors[0].message}"
                    raise Conflict(f"Version {version} cannot be used any more: {wrong}")
                body = FORM.restored(body, found)
            current = _decode(body)
            if active is not None:
                current = msgspec.structs.replace(current, active=active)
            place, changed, now = (WORKFLOWS, owner, key), msgspec.json.encode(current), self._clock.now()
            if await Documents(self._db).change(*place, before.body, changed, now, version=current.version):
                await self.written([(owner, key, current.active)])
                return Workflow(key=key, owner=owner, current=current)
        raise NotFound(UNKNOWN)

    async def written(self, changed: Sequence[tuple[str, str, bool]]) -> None:
        """Use what was written, and make the paused runs of workflows due that have become active or, so that their runs finish, were
        deleted."""
        self.forget()
        for owner, key, resumes in changed:
            if resumes:
                await self.resume_if_active(owner, key)


def steps_with_paths(
    steps: Sequence[Mapping[str, Any]], path: str = "steps", outer: tuple[Any, ...] = ()
) -> Iterator[tuple[str, Mapping[str, Any], tuple[Any, ...]]]:
    """Yield all steps of a checked definition with their paths, and with the conditions that are tested before they run."""
    for number, step in enumerate(steps):
        here, tested = f"{path}.{number}", (*outer, step.get("if"))
        yield here, step, tested
        for branch_number, branch in enumerate(step.get("branches", ())):
            inner = f"{here}.branches.{branch_number}.steps"
            yield from steps_with_paths(branch["steps"], inner, (*tested, branch["if"]))
        yield from steps_with_paths(step.get("else", ()), f"{here}.else", tested)
