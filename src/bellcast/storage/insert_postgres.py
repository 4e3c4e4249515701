"""Sends outright: rows for named recipients by one statement that is its own transaction, where many write at a time.

It holds the inboxes, numbers the rows and writes them. What would be seven ways to the database and back is one, and an
inbox is held for as long as its rows take and not while a process is busy with others. It is for recipients that are there;
where one is not, nothing is written, and `see` makes it first.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from bellcast.model.events import Event, NotificationAdded
from bellcast.model.inboxes import InboxState
from bellcast.ports import SendRequest, Sent
from bellcast.storage import ensure, rows
from bellcast.storage.engine import Row, Script, Statement
from bellcast.storage.locks import locks

Name = tuple[str, str]  # of a recipient: tenant and key
# Of a row: its recipient's place among those named, how many-th it is of that recipient's, its id; then its content.
ROW_COLUMNS = ("places", "nths", "ids")
# Recipients a statement makes: 1 ms of PostgreSQL's, which others wait for on a processor that is busy.
ENSURE_BATCH_ROWS = 100


class PreviousHead(NamedTuple):
    """Where an inbox stood before: as the statement tells it."""

    epoch: int
    revision: int
    unread: int
    unseen: int

    def after(self, name: Name, nth: int) -> InboxState:
        """Where it stands with so many more rows."""
        return InboxState(*name, self.epoch, self.revision + nth, self.unread + nth, self.unseen + nth)


def add(sendings: Sequence[SendRequest]) -> Script[list[Sent] | None]:
    """A row for each recipient of each sending, a revision for each row, in order. None: not all recipients are there."""
    plan = StatementPlan(sendings)
    stands: list[Row] = yield Statement("notifications_add", plan.params())
    return list(plan.sent([PreviousHead._make(row) for row in stands])) if stands else None


class StatementPlan:
    """The rows of sendings, before it is known where their inboxes stand."""

    def __init__(self, sendings: Sequence[SendRequest]) -> None:
        self._sendings = sendings
        self._ordinals: dict[Name, int] = {}
        self._counts: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._tags: list[tuple[int, str, str]] = []
        self._names: tuple[str, ...] = ()
        for sending in sendings:
            self._add(sending)

    def _add(self, sending: SendRequest) -> None:
        columns = rows.content_params(sending.content, sending.created_at)
        self._names = tuple(columns)
        values = tuple(columns.values())
        for id, key in zip(sending.ids, sending.recipients, strict=True):
            place = self._ordinals.setdefault((sending.tenant, key), len(self._counts))
            if place == len(self._counts):
                self._counts.append(0)
            self._counts[place] += 1
            self._rows.append((place + 1, self._counts[place], id, *values))
            self._tags += [(place + 1, tag, id) for tag in sending.content.tags]

    def params(self) -> dict[str, Sequence[Any]]:
        """The parameters of the statement, each a column."""
        tenants, keys = zip(*self._ordinals, strict=True)
        columns = dict(zip((*ROW_COLUMNS, *self._names), zip(*self._rows, strict=True), strict=True))
        tagged = zip(*self._tags, strict=True) if self._tags else ((), (), ())
        tags = dict(zip(("tag_places", "tag_names", "tag_ids"), tagged, strict=True))
        return {"tenants": tenants, "keys": keys, "counts": self._counts, **columns, **tags}

    def sent(self, stands: Sequence[PreviousHead]) -> Iterator[Sent]:
        """What became of each, from where the inboxes stood, in their order."""
        names = list(self._ordinals)
        following = iter(self._rows)
        for sending in self._sendings:
            told = rows.new_notification(sending.ids[0], sending.content, sending.created_at)
            events: list[Event] = []
            for _ in sending.ids:
                place, nth, id, *_ = next(following)
                state = stands[place - 1].after(names[place - 1], nth)
                events.append(NotificationAdded(state, told if id == told.id else replace(told, id=id)))
            yield Sent(sending.answer, tuple(events))


def _names(sendings: Sequence[SendRequest]) -> set[Name]:
    return {(sending.tenant, key) for sending in sendings for key in sending.recipients}


@locks(_names)
def ensure_recipients(sendings: Sequence[SendRequest]) -> Script[None]:
    """Make those of the recipients there are none of yet."""
    wanted: dict[str, dict[str, None]] = {}
    for sending in sendings:
        wanted.setdefault(sending.tenant, {}).update(dict.fromkeys(sending.recipients))
    for tenant in sorted(wanted):
        keys = list(wanted[tenant])
        for start in range(0, len(keys), ENSURE_BATCH_ROWS):
            yield from ensure.ensure_recipients(tenant, keys[start : start + ENSURE_BATCH_ROWS], sendings[0].created_at)
