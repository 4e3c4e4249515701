"""The budget of one rendering: CPU time, the size of each value, and the total size of all values that its steps
process. The CPU time is that of all texts of a renderer, because nothing else runs between them. And the CPU time of a
tenant's templates and schemas in this process, so that they leave the processor to other tenants."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import tzinfo
from functools import lru_cache
from time import monotonic, thread_time
from typing import Any, ParamSpec, TypeVar

from bellcast.kernel.errors import TooMany
from bellcast.kernel.token_bucket import TokenBucket

P = ParamSpec("P")
T = TypeVar("T")

# --- one rendering

# A template of a page of text renders in well under a millisecond.
MAX_SECONDS = 0.125  # of CPU time: a process that waits for a processor must not fail a message
# Gmail clips a message at 102 KiB; providers refuse far smaller texts than this.
MAX_BYTES = 512 * 1024
TOO_SLOW = f"takes longer than {MAX_SECONDS} s, together with the texts before it"
TOO_LARGE = f"renders more than {MAX_BYTES // 1024} KiB"
TOO_MUCH_WORK = "handles more data than a template may"
# Every JSON value has a bounded form except whole numbers: 10**10**10 would take minutes.
MAX_INTEGER = 2**64
# Maximum total size of the values of a rendering's steps: the largest text can pass through 16 steps. It bounds the
# memory too.
MAX_WORK = 16 * MAX_BYTES
# The size of a value without its text. A value takes 8 to 56 bytes.
VALUE_SIZE = 16
# Maximum variables without a value that a preview lists, and maximum characters of their paths.
MAX_MISSING = 100
MAX_PATH = 200

# The address of an object in its representation, which Python's and Jinja's messages can have.
ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)


class TemplateError(Exception):
    """A text that cannot be rendered. `line` is set for syntax errors, `variable` for a variable without a value."""

    def __init__(self, message: str, *, line: int | None = None, variable: str | None = None) -> None:
        self.message = ADDRESS.sub("", message)
        super().__init__(self.message if variable is None else f"{variable} {self.message}")
        self.line = line
        self.variable = variable


class TimeExceeded(TemplateError):
    """The rendering took too long, possibly because of something else in its thread."""


class Rendering:
    """One rendering in progress: its CPU time in seconds, its variables, the locale (of `formats.find_locale`) and the zone of its
    formats, and the missing names that templates used."""

    def __init__(
        self, variables: Mapping[str, Any], seconds: float, locale: Any, zone: tzinfo, *, is_strict: bool
    ) -> None:
        self.variables = variables
        self.locale = locale
        self.zone = zone
        self.is_strict = is_strict
        self.missing: dict[str, None] = {}  # a set in order
        self._ends = thread_time() + seconds
        self._deadline = monotonic() + seconds
        self.work = 0  # the total size of the values so far
        # The key of which the value was null last, with its object and the work then.
        self.null: tuple[Mapping[str, Any], str, int] = {}, "", 0

    def charge(self, value: Any = None) -> Any:
        """Charge the size of a value, and return it. Raises TemplateError if the value is too large or the budget is spent."""
        self.work += size_of(value)
        if self.work > MAX_WORK:
            raise TemplateError(TOO_MUCH_WORK)
        if monotonic() >= self._deadline:  # takes a tenth of the time of `thread_time`
            left = self.seconds_left()
            if left <= 0:
                raise TimeExceeded(TOO_SLOW)
            self._deadline = monotonic() + left
        return value

    def seconds_left(self) -> float:
        """Return the CPU time that is left; 0 or less if it is spent."""
        return self._ends - thread_time()

    def path_of(self, value: object, name: str) -> str:
        """Return the path of the missing key `name` of `value`, as written in the template."""
        if value is None or isinstance(value, int | float):  # the same object stands in many places
            roots = [root for root, one in self.variables.items() if one is value]
            return (f"{roots[0]}.{name}" if len(roots) == 1 else name)[:MAX_PATH]
        # Paths are truncated: each part below a long name would repeat it, and 1 MiB of data would take 100 GB.
        queue: deque[tuple[str, object]] = deque(self.variables.items())
        while queue:
            path, item = queue.popleft()
            if item is value:
                return f"{path}.{name}"[:MAX_PATH]
            self.charge()
            if isinstance(item, Mapping):
                queue += [(f"{path}.{part}"[:MAX_PATH], inner) for part, inner in item.items()]
            elif isinstance(item, list | tuple):
                queue += [(f"{path}.{number}"[:MAX_PATH], inner) for number, inner in enumerate(item)]
        return name[:MAX_PATH]


RENDERING: ContextVar[Rendering] = ContextVar("rendering")


def size_of(value: Any) -> int:
    """Return the size of a value in output: a list that contains the same large text twice has twice its size. Raises
    TemplateError above MAX_BYTES."""
    if value is None:
        return VALUE_SIZE
    size = 0
    parts = [value]
    while parts:
        part = parts.pop()
        size += VALUE_SIZE
        if isinstance(part, str):
            size += len(part)
        elif isinstance(part, int):
            if abs(part) > MAX_INTEGER:
                raise TemplateError("computes a number that is too large")
        elif isinstance(part, list | tuple | dict):
            if size + VALUE_SIZE * len(part) > MAX_BYTES:
                raise TemplateError(TOO_LARGE)
            parts += part
            if isinstance(part, dict):
                parts += part.values()
        if size > MAX_BYTES:
            raise TemplateError(TOO_LARGE)
    return size


def charge(value: Any) -> Any:
    """Charge the current rendering for a value, and return it."""
    return RENDERING.get().charge(value)


def charge_each(values: Iterable[Any]) -> Iterator[Any]:
    """Charge each value as it is consumed. Unused values are not created."""
    rendering = RENDERING.get()
    for value in values:
        yield rendering.charge(value)


# --- all renderings and checks of a tenant

# CPU time per second of all renderings and checks of data of a tenant. Usual ones take less, because the rest of a fan-out takes longer.
CPU_SHARE = 0.5
# Renderings of a text that take too long in a row, until it is stopped.
MAX_SLOW = 3
# A stopped text is rendered again after this time, because the data may have been the cause.
STOPPED_SECONDS = 60.0
MAX_SLOW_TEXTS = 1_000
# Bodies of a tenant that are compiled or wait: an author sends one at a time. The largest take 5 s each.
MAX_WAITING = 20
WAITING_RETRY_SECONDS = 5
CACHED_TENANTS = 10_000


class TenantBudget:
    """A balance of CPU time. A rendering is charged afterwards, so the balance can be negative; the next rendering waits
    until it is not."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(CPU_SHARE, _now())
        self.compiling = asyncio.Lock()
        self.waiting = 0  # texts that are being compiled or wait for it
        self.slow: dict[int, tuple[int, float]] = {}  # by text: renderings that took too long, and the last one's time

    def charge(self, seconds: float) -> None:
        self._bucket.tokens -= seconds  # `wait` filled it just before

    def seconds_to_wait(self) -> float:
        return self._bucket.take(_now(), 0)

    async def wait(self) -> None:
        """Return when the tenant may render."""
        seconds = self.seconds_to_wait()
        while seconds:
            await asyncio.sleep(seconds)
            seconds = self.seconds_to_wait()  # others that waited may have used the time

    @asynccontextmanager
    async def charging(self) -> AsyncIterator[None]:
        """Wait until the tenant may render, and charge the CPU time of the block, which does not wait."""
        await self.wait()
        started = thread_time()
        try:
            yield
        finally:
            self.charge(thread_time() - started)

    def is_stopped(self, text: int) -> bool:
        """True if the text must not be rendered now."""
        count, at = self.slow.get(text, (0, 0.0))
        return count >= MAX_SLOW and monotonic() < at + STOPPED_SECONDS

    def add_slow(self, text: int) -> None:
        """Record a rendering that took too long. It costs a whole second's time, so that other tasks run before the next."""
        self.charge(CPU_SHARE)
        count, _ = self.slow.pop(text, (0, 0.0))
        if len(self.slow) >= MAX_SLOW_TEXTS:
            del self.slow[next(iter(self.slow))]
        self.slow[text] = count + 1, monotonic()


async def in_thread(tenant: str, compile: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Compile or check texts of a tenant in a thread, one at a time, and charge the thread's time. Raises TooMany if many wait."""
    budget = budget_of(tenant)
    if budget.waiting >= MAX_WAITING:
        raise TooMany("Too many templates of this tenant are being compiled.", retry_after=WAITING_RETRY_SECONDS)

    def timed() -> T:
        started = thread_time()
        try:
            return compile(*args, **kwargs)
        finally:
            seconds.append(thread_time() - started)

    seconds: list[float] = []
    budget.waiting += 1
    try:
        async with budget.compiling:
            await budget.wait()
            try:
                return await asyncio.to_thread(timed)
            finally:
                budget.charge(sum(seconds))
    finally:
        budget.waiting -= 1


@lru_cache(CACHED_TENANTS)
def budget_of(tenant: str) -> TenantBudget:
    """Return the budget of a tenant."""
    return TenantBudget()


def _now() -> int:
    return int(monotonic() * 1000)
