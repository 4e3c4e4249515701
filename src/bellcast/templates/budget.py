"""The budget of one rendering: CPU time, the size of each value, and the total size of all values that its steps
process. The CPU time is that of all texts of a renderer, because nothing else runs between them."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from time import monotonic, thread_time
from typing import Any

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


class BoundExceeded(Exception):
    """The rendering was stopped; the message names the exceeded bound."""


class TimeExceeded(BoundExceeded):
    """The rendering took too long, possibly because of something else in its thread."""


class Rendering:
    """One rendering in progress: its CPU time in seconds, its variables, and the missing names that templates used."""

    def __init__(self, variables: Mapping[str, Any], seconds: float, *, is_strict: bool) -> None:
        self.variables = variables
        self.is_strict = is_strict
        self.missing: dict[str, None] = {}  # a set in order
        self._ends = thread_time() + seconds
        self._deadline = monotonic() + seconds
        self.work = 0  # the total size of the values so far
        # The key of which the value was null last, with its object and the work then.
        self.null: tuple[Mapping[str, Any], str, int] = {}, "", 0

    def charge(self, value: Any = None) -> Any:
        """Charge the size of a value, and return it. Raises BoundExceeded if the value is too large or the budget is spent, and
        TimeExceeded."""
        self.work += size_of(value)
        if self.work > MAX_WORK:
            raise BoundExceeded(TOO_MUCH_WORK)
        if monotonic() > self._deadline:  # takes a tenth of the time of `thread_time`
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
    BoundExceeded above MAX_BYTES."""
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
                raise BoundExceeded("computes a number that is too large")
        elif isinstance(part, list | tuple | dict):
            if size + VALUE_SIZE * len(part) > MAX_BYTES:
                raise BoundExceeded(TOO_LARGE)
            parts += part
            if isinstance(part, dict):
                parts += part.values()
        if size > MAX_BYTES:
            raise BoundExceeded(TOO_LARGE)
    return size


def charge(value: Any) -> Any:
    """Charge the current rendering for a value, and return it."""
    return RENDERING.get().charge(value)


def charge_each(values: Iterable[Any]) -> Iterator[Any]:
    """Charge each value as it is consumed. Unused values are not created."""
    rendering = RENDERING.get()
    for value in values:
        yield rendering.charge(value)
