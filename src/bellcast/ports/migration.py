"""The migration of a store that runs while a server starts."""

from msgspec import Struct


class StoreMigration(Struct, frozen=True, rename={"before": "from"}):
    """The schema version before, the one after, and the one to which the current step leads."""

    before: int
    to: int
    step: int
