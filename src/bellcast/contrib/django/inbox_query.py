"""`Notification.objects` and `user.notifications`: queries on a user's inbox, executed by Bellcast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.utils import NotSupportedError
from django.utils.dateparse import parse_date, parse_datetime

from bellcast import client
from bellcast.client import InvalidArgument, NotFound
from bellcast.client.request import call
from bellcast.client.responses import InboxPage
from bellcast.contrib.django import conf, identity
from bellcast.contrib.django.sending import PRIORITIES, NotificationService

# The server's largest page.
PAGE_ROWS = 100
FILTERS = frozenset({"user", "is_read", "type", "priority", "created_at__gte", "id", "pk"})
VALUES: dict[str, Sequence[Any]] = {"is_read": (True, False), "priority": PRIORITIES}
IDS_PER_ACTION = 1_000  # the server's default limit
HELP = "Notification.objects filters by user, is_read, type, priority and created_at__gte"


def read_page(user: Any, limit: int, before: str | None, view: str = "all", **filters: Any) -> InboxPage:
    """Return a page of a user's inbox, newest first."""
    request = call("GET", "/v1/inbox", InboxPage, view=view, limit=limit, before=before, **filters)
    return identity.inbox_of(user).sender.send(request)


def find(user: Any, id: str, *, marks_as_read: bool = False) -> client.Notification:
    """Return one notification, also marked as read if that is wanted. Raises Notification.DoesNotExist."""
    inbox = identity.inbox_of(user)
    try:
        return inbox.mark(id, read=True) if marks_as_read else inbox.get(id)
    except NotFound:
        raise _model().DoesNotExist("Notification matching query does not exist.") from None


def assign(notification: Any, row: client.Notification, user: Any) -> Any:
    """Set the fields of a model instance from a row of Bellcast."""
    notification.pk = row.id
    notification.user, notification.tenant = user, identity.tenant_of(user)
    notification.type, notification.title, notification.message = row.type, row.title, row.body or ""
    notification.priority, notification.metadata = row.priority, row.data
    notification.action_url, notification.action_text = row.action_url or "", row.action_text or ""
    notification.icon = row.icon or ""
    times = (row.created_at, row.read_at, row.expires_at)
    notification.created_at, notification.read_at, notification.expires_at = map(conf.of_project, times)
    notification.kind = "notify"
    notification._state.adding = False
    return notification


def _model() -> Any:
    return apps.get_model("bellcast", "Notification")


class InboxQuery:
    """A lazy query on one user's inbox, newest first."""

    ordered = True  # Django's paginator warns of a query without an order

    def __init__(self, user: Any = None, filters: dict[str, Any] | None = None, span: slice | None = None) -> None:
        self._user = user
        self._filters = filters or {}
        self._span = span or slice(0, None)
        self._rows: list[Any] | None = None

    @property
    def model(self) -> Any:
        return _model()

    # --- building

    def all(self) -> InboxQuery:
        return self.filter()

    def filter(self, *args: Any, **filters: Any) -> InboxQuery:
        self._check_unsliced()
        if args or (unknown := set(filters) - FILTERS):
            raise NotSupportedError(f"{HELP}, not {'Q objects' if args else ', '.join(sorted(unknown))}")
        for name, values in VALUES.items():
            if name in filters and filters[name] not in values:
                raise NotSupportedError(f"{name} is one of {', '.join(map(str, values))}, not {filters[name]!r}")
        present = self._filters if self._user is None else {**self._filters, "user": self._user}
        for name in present.keys() & filters.keys():
            if filters[name] != present[name]:
                raise NotSupportedError(f"The query already filters by another value of {name}.")
        user = filters.pop("user", self._user)
        if user is not None and not hasattr(user, "is_authenticated"):
            raise NotSupportedError(f"user is an object of the user model, not {user!r}")
        return InboxQuery(user, {**self._filters, **filters})

    def unread(self) -> InboxQuery:
        return self.filter(is_read=False)

    def read(self) -> InboxQuery:
        return self.filter(is_read=True)

    def order_by(self, *fields: str) -> InboxQuery:
        if fields != ("-created_at",):
            raise NotSupportedError("Notifications are ordered by -created_at only.")
        return self

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            if index.step is not None or (index.start or 0) < 0 or (index.stop is not None and index.stop < 0):
                raise NotSupportedError("A slice has no step and no negative index.")
            start, stop = self._span.start, self._span.stop
            first = start + (index.start or 0)
            last = stop if index.stop is None else start + index.stop
            return InboxQuery(self._user, self._filters, slice(first, last if stop is None else min(last, stop)))
        if index < 0:
            raise NotSupportedError("A negative index is not supported.")
        rows = list(self[index : index + 1])
        if not rows:
            raise IndexError("list index out of range")
        return rows[0]

    # --- reading

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fetched())

    def __len__(self) -> int:
        return len(self._fetched())

    def __bool__(self) -> bool:
        return bool(self._fetched())

    def __repr__(self) -> str:
        return f"<InboxQuery user={self._user!r} {self._filters}>"

    def _fetched(self) -> list[Any]:
        if self._rows is None:
            self._rows = [assign(_model()(), row, self._user) for row in self._selected()]
        return self._rows

    def count(self) -> int:
        if self._filters == {"is_read": False} and self._span == slice(0, None):
            return identity.inbox_of(self._checked_user()).counts().unread
        return sum(1 for _ in self._selected())

    def exists(self) -> bool:
        return bool(self[:1])

    def first(self) -> Any:
        return next(iter(self[:1]), None)

    def get(self, **filters: Any) -> Any:
        """Return the only match. Raises DoesNotExist or MultipleObjectsReturned."""
        rows = list(self.filter(**filters)[:2])
        if not rows:
            raise _model().DoesNotExist("Notification matching query does not exist.")
        if len(rows) > 1:
            raise _model().MultipleObjectsReturned("get() returned more than one Notification")
        return rows[0]

    def _selected(self) -> Iterator[client.Notification]:
        return islice(self._matching(), self._span.start, self._span.stop)

    def _matching(self) -> Iterator[client.Notification]:
        user, since = self._checked_user(), _moment(self._filters.get("created_at__gte"))
        named: dict[str, Any] = {name: self._filters[name] for name in ("type", "priority") if name in self._filters}
        if "id" in self._filters or "pk" in self._filters:
            try:
                row = find(user, str(self._filters.get("id", self._filters.get("pk"))))
            except (ObjectDoesNotExist, InvalidArgument):  # an empty id
                return
            if row.created_at < (since or row.created_at) or any(
                getattr(row, key) != one for key, one in named.items()
            ):
                return
            if self._filters.get("is_read") in (None, row.read_at is not None):
                yield row
            return
        views = {None: "all", True: "read", False: "unread"}
        view = views[self._filters.get("is_read")]
        limit = PAGE_ROWS if self._span.stop is None else max(1, min(self._span.stop, PAGE_ROWS))
        before = None
        while True:
            page = read_page(user, limit, before, view, **named, since=since)
            yield from page.notifications
            if page.next is None:
                return
            before = page.next

    # --- changing

    def update(self, **changes: Any) -> int:
        """Mark the matches as read. Returns how many changed."""
        if changes != {"is_read": True}:
            raise NotSupportedError("update() takes is_read=True only.")
        self._check_unsliced()
        inbox = identity.inbox_of(self._checked_user())
        if set(self._filters) <= {"is_read"}:
            return 0 if self._filters.get("is_read") else inbox.read(all=True).changed
        ids = [row.id for row in self._selected() if row.read_at is None]
        return sum(inbox.read(*some).changed for some in batches(ids))

    def mark_all_as_read(self) -> int:
        return self.update(is_read=True)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the matches from the inbox. Returns their number, as a QuerySet does."""
        self._check_unsliced()
        inbox = identity.inbox_of(self._checked_user())
        if self._filters == {"is_read": True}:
            changed = inbox.clear("read").changed
        else:
            ids = [row.id for row in self._selected()]
            changed = sum(inbox.delete_many(*some).changed for some in batches(ids))
        return changed, {"bellcast.Notification": changed}

    def create(self, **fields: Any) -> Any:
        """Send a notification. Arguments as for NotificationService.send_notification."""
        user = fields.pop("user", self._user)
        if "type" in fields:
            fields["notification_type"] = fields.pop("type")
        return NotificationService.send_notification(user, **fields)

    # --- checks

    def _checked_user(self) -> Any:
        if self._user is None:
            raise NotSupportedError("Notifications are read per user: filter(user=…)")
        return self._user

    def _check_unsliced(self) -> None:
        if self._span != slice(0, None):
            raise NotSupportedError("A slice cannot be filtered or changed.")

    def __getattr__(self, name: str) -> Any:
        if name in QUERYSET_METHODS:
            raise NotSupportedError(f"{HELP}; {name}() is not supported")
        raise AttributeError(name)


QUERYSET_METHODS = frozenset(name for name in dir(models.QuerySet) if not name.startswith("_"))


class EmptyManager(models.Manager):  # type: ignore[type-arg, unused-ignore]  # generic only in django-stubs
    """Manager of proxy models whose rows are in Bellcast: the outbox table has none of them."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class NotificationManager(EmptyManager):
    """Queries on an inbox. Every query needs `user`."""


def _own(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(InboxQuery(), name)(*args, **kwargs)

    method.__name__ = name
    return method


for _name in QUERYSET_METHODS:
    if callable(getattr(models.QuerySet, _name)) and hasattr(models.Manager, _name):
        setattr(NotificationManager, _name, _own(_name))
NotificationManager.delete = _own("delete")


def batches(ids: list[str]) -> Iterator[list[str]]:
    """Return the ids in parts, each for one request."""
    for start in range(0, len(ids), IDS_PER_ACTION):
        yield ids[start : start + IDS_PER_ACTION]


def _moment(value: Any) -> datetime | None:
    """Return an aware datetime of a datetime, a date or their text."""
    if isinstance(value, str):
        value = parse_datetime(value) or parse_date(value) or value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    found: datetime | None = conf.with_zone(value)
    return found


USER_ATTRIBUTE = "notifications"


def install_on_users() -> None:
    """Add the property to the user model, unless the name is taken there (check bellcast.W003)."""
    model: Any = get_user_model()
    if not is_taken(model):
        model.notifications = property(_inbox_of)


def is_taken(model: Any) -> bool:
    """True if the user model has another attribute of this name, for example the related name of a foreign key."""
    found = getattr(model, USER_ATTRIBUTE, None)
    return found is not None and not (isinstance(found, property) and found.fget is _inbox_of)


def _inbox_of(user: Any) -> InboxQuery:
    if isinstance(user, AnonymousUser) or user.pk is None:
        raise ValueError("An unsaved user has no notifications.")
    return InboxQuery(user)
