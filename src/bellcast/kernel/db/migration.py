"""The schema of a store, and the migration that runs while a server starts."""

from msgspec import Struct


class StoreMigration(Struct, frozen=True, rename={"before": "from"}):
    """The schema version before, the one after, and the one to which the current step leads."""

    before: int
    to: int
    step: int


class StoreSchema(Struct):
    """The schema version that this release writes, and the migration to it that runs now, maybe in another process."""

    version: int
    migration: StoreMigration | None = None
