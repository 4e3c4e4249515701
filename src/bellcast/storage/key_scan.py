"""Pages by key with a filter that no index has: a bounded number of rows is compared."""

from collections.abc import Sequence
from typing import Any

from bellcast.ports.recipients import CreatedRange
from bellcast.storage import sent
from bellcast.storage.script import Row, Script, Statement


def scan(
    end: str, page: str, params: dict[str, Any], created: CreatedRange
) -> Script[tuple[Sequence[Row], str | None]]:
    """Run the statement `page` on the keys up to those that the statement `end` finds. Return its rows, and the last
    compared key if more may follow."""
    edge = yield Statement(end, {**params, "skipped": sent.MAX_SCANNED_ROWS - 1}, heavy=True)
    is_cut = len(edge) == len(("compared", "next"))
    bound = {"last": edge[1][0]} if is_cut else {}
    found = yield Statement(page, params | created._asdict() | bound, heavy=True)
    return found, edge[0][0] if is_cut and len(found) < params["limit"] else None
