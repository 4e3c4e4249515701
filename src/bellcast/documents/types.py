"""Objects that the app defines by key: types, templates, workflows, preference defaults and others."""

from typing import Any

from msgspec import Struct

from bellcast.kernel.identities import DEFAULT_TENANT

# Short, so that someone who saves a template and sends a test gets the new version.
CACHE_SECONDS = 1.0
# Maximum cached objects; a project has a few hundred.
MAX_CACHED = 10_000
# Attempts of a change of what is stored. Of concurrent changes of one object, one succeeds in each round.
MAX_CHANGE_ROUNDS = 100

# Maximum characters of the keys of most kinds.
MAX_OBJECT_KEY = 100
# Objects of the project, which tenants can override.
PROJECT = DEFAULT_TENANT


class Document(Struct, frozen=True):
    """An object as JSON. Times are UTC milliseconds. `version` is the current one, of kinds that have versions."""

    key: str
    body: bytes
    created_at: int
    updated_at: int
    version: int = 1


class StoredVersion(Struct, frozen=True):
    """A version of a workflow or a template as JSON, and who wrote it, when and why."""

    version: int
    body: bytes
    created_at: int
    by: str | None = None
    note: str | None = None


# Confirmations that agents have used, by the hash of each. They are deleted after a day.
CONFIRMATIONS = "agent-confirmations"
# Drafts are deleted this long after their last change.
DRAFT_MS = 90 * 86_400_000
# Maximum objects of a tenant or the project, of one kind, and of drafts: what reads all of them takes at most 50 ms of CPU.
MAX_OF_KIND = 1_000
# Kinds of objects, and those with drafts.
TYPES, TEMPLATES, WORKFLOWS, SOURCES = "types", "templates", "workflows", "sources"
DRAFTED = (WORKFLOWS, TEMPLATES)


def draft_kind(plural: str) -> str:
    """Return the kind under which the drafts of a kind of objects are stored."""
    return f"{plural}-drafts"


# Kinds to which the maximum applies.
COUNTED = frozenset((*DRAFTED, *map(draft_kind, DRAFTED), TYPES, SOURCES, "providers", "webhooks"))
# The kind under which is stored who manages an object.
MANAGED = "managed"


def managed_place(plural: str, tenant: str, key: str) -> tuple[str, str, str]:
    """Return the kind, tenant and key under which is stored who manages an object."""
    return MANAGED, tenant, f"{plural}/{key}"


class Management(Struct, frozen=True, kw_only=True):
    """The files that an object was pushed from: their source and commit, the object's ETag then, and when. While it is
    locked, nothing else writes the object; an owner may have unlocked it since. Times are UTC milliseconds."""

    source: str
    commit: str | None
    etag: str
    at: int
    lock: bool
    unlocked_at: int | None = None


class StoredDraft(Struct, frozen=True, kw_only=True):
    """What an editor saved: the values of an object, the version that they change, and who saved them when."""

    values: dict[str, Any]
    base: int | None
    by: str
    saved_at: int


def is_cached(until: int, now: int, seconds: float = CACHE_SECONDS) -> bool:
    """Return whether a cached object may be used. Its end is further away than these seconds if the clock was ahead."""
    return 0 < until - now <= seconds * 1000
