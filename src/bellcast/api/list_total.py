"""The number of items of a list, on its first page."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

# Counting reads one entry of an index for each: some milliseconds.
MAX_COUNTED = 10_000


class ListTotal(Struct, frozen=True):
    """How many items all pages have together. Without `exact`, there are at least `value`."""

    value: int
    exact: bool


async def of_first_page(
    shown: int, cursor: str | None, *, has_next: bool, count: Callable[[int], Awaitable[int]] | None
) -> ListTotal | None:
    """Return the total on the first page, else None. `count` counts up to a number of items; None: they are not counted."""
    if cursor:
        return None
    if not has_next or count is None:
        return ListTotal(shown + has_next, not has_next)
    number = await count(MAX_COUNTED + 1)
    return ListTotal(min(number, MAX_COUNTED), number <= MAX_COUNTED)
