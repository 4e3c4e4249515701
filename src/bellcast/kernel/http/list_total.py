"""The number of items of a list, on its first page."""

from collections.abc import Awaitable, Callable

from bellcast.kernel.db import lists
from bellcast.kernel.db.list_scan import ListTotal


async def of_first_page(
    shown: int, cursor: str | None, *, has_next: bool, count: Callable[[int], Awaitable[ListTotal]] | None
) -> ListTotal | None:
    """Return the total on the first page, else None. `count` counts up to a number of items; None: they are not counted."""
    if cursor:
        return None
    if not has_next or count is None:
        return ListTotal(shown + has_next, not has_next)
    return await count(lists.MAX_COUNTED_ITEMS)


def up_to(limit: int, number: int) -> ListTotal:
    """Return the total of a list whose items were counted up to one more than the limit."""
    return ListTotal(min(number, limit), number <= limit)
