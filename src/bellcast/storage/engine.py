"""What scripts are made of and what drives them.

A script is a plain generator: it yields statements, is sent their rows, and returns its result. It never awaits and
never opens a transaction, so the same script runs on every database; the engine gives it both.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

from msgspec import Struct

P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  an item of many, beside the parameters P and the result T

# Rows are read by position, in the order the statement selects: unpacking is the fastest way on every driver.
Row: TypeAlias = tuple[Any, ...]
Params: TypeAlias = Mapping[str, Any]
NO_PARAMS: Params = {}


class Statement(Struct, frozen=True):
    """One named statement of `storage/sql` with its parameters.

    `many` runs it once for each of the parameter sets and yields no rows. `heavy` may touch a whole large inbox: it
    must not run on the event loop's thread.
    """

    name: str
    params: Params = NO_PARAMS
    many: Sequence[Params] | None = None
    heavy: bool = False


Script: TypeAlias = Generator[Statement, list[Row], T]


class WriteConflict(Exception):
    """Another process wrote meanwhile what this script had found missing: it is to be run again."""


class Engine(Protocol):
    """One database. It is handed the script's function, not a running script, so that it can run it again.

    Raises Unavailable when the database is away and DiskFull when it is full; then nothing was written.
    """

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        ...

    async def read(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script that writes nothing. Several statements see one state only after the statement `snapshot`."""
        ...

    async def read_in_background(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, for what may take long: nobody else waits for it."""
        ...

    async def write(self, script: Callable[P, Script[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a script in a transaction and return after its commit. If it raises, nothing of it was written."""
        ...

    async def write_each(self, script: Callable[[I], Script[T]], items: Sequence[I], /) -> list[T | Exception]:
        """Run a script for each item, in order, each whole or not at all; what one raises takes its place."""
        ...

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """From now on tenants that wait for each other have these shares."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless it can be read and written."""
        ...

    async def close(self) -> None:
        """Finish what is under way, then let go."""
        ...
