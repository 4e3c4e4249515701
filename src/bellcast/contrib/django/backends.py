"""Backends for sends: the outbox, Bellcast itself, the SQL functions of PostgreSQL, a list, or standard output."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, Protocol
from uuid import UUID, uuid4

from django.apps import apps
from django.db import connections, transaction
from django.utils import timezone

from bellcast.client import BellcastError
from bellcast.client.notifications import once
from bellcast.client.request import call, json
from bellcast.client.responses import Sent
from bellcast.contrib import outbox
from bellcast.contrib.django import conf, relaying, testing
from bellcast.contrib.relay import ADDRESSES, write_addresses

log = logging.getLogger("bellcast.django")


@dataclass(slots=True, weakref_slot=True, eq=False)
class OutgoingSend:
    """One send: the body of its REST request as JSON values, and the notifications of its recipients in the order of `to`."""

    kind: outbox.Kind
    payload: dict[str, Any]
    key: UUID
    idempotency_key: str | None = None
    send_at: datetime | None = None
    notifications: Sequence[Any] = field(default_factory=list)

    @property
    def request_body(self) -> dict[str, Any]:
        """Return the payload for backends that send immediately: without the relay's own fields, and with the time."""
        body = {name: value for name, value in self.payload.items() if name != ADDRESSES}
        return body if self.send_at is None else {**body, "send_at": self.send_at.isoformat()}

    def assign_ids(self, ids: Sequence[str]) -> None:
        """Set the ids of the notifications once they are known."""
        for notification, id in zip(self.notifications, ids, strict=False):
            notification.pk = id


class Backend(Protocol):
    """A backend for sends. `using` is the alias of the database that the caller writes to; None means the outbox's
    default."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        """Send now, or after the commit. Returns the number of the last row, if the backend has numbers."""


class OutboxBackend:
    """Writes rows in the caller's transaction; the relay sends them after the commit."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        OutboxEntry = apps.get_model("bellcast", "OutboxEntry")
        alias = using or relaying.default_alias()
        now = timezone.now()
        rows = [
            OutboxEntry(
                key=one.key,
                kind=one.kind,
                payload=one.payload,
                created_at=now,
                next_attempt_at=conf.of_project(one.send_at) if one.send_at else now,
            )
            for one in sends
        ]
        entries = OutboxEntry.objects.using(alias)
        if repeated := [one.key for one in sends if one.idempotency_key is not None]:
            entries.filter(key__in=repeated, refused_at__isnull=False).delete()
        # A waiting row with the same key is the same send.
        entries.bulk_create(rows, ignore_conflicts=True)
        for one in sends:
            relaying.remember(one.key, one)
        transaction.on_commit(lambda: relaying.wake(alias), using=alias, robust=True)
        return None


class DirectBackend:
    """Sends by HTTP after the commit. If that fails, the failure is logged and the notification is lost."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        for one in sends:
            # A function: Django logs the failure of a hook by its name, which a partial does not have.
            transaction.on_commit(_posting(one), using=using, robust=True)
        return None


class PostgresBackend:
    """Calls the SQL functions that `bellcast sql install` creates, in the caller's transaction."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        number = None
        with connections[using or "default"].cursor() as cursor:
            for one in sends:
                body = one.request_body
                if one.kind == "notify" and one.idempotency_key is not None:
                    body["idempotency_key"] = one.idempotency_key
                function = "bellcast.notify" if one.kind == "notify" else "bellcast.publish"
                cursor.execute(f"SELECT {function}(%s::jsonb)", [outbox.encode(body)])
                number = int(cursor.fetchone()[0])
        return number


class LocmemBackend:
    """Appends to `bellcast.contrib.django.testing.sent` immediately, regardless of transactions."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        for one in sends:
            if one.key in testing.keys:  # repeated
                continue
            testing.keys.add(one.key)
            body = one.request_body
            if one.kind == "publish":
                to = body.get("topic") or body.get("topics") or body.get("recipient")
                testing.published.append(testing.PublishedEvent(to, body["name"], body.get("data"), body.get("tenant")))
                continue
            recipients = body["to"] if isinstance(body["to"], list) else [body["to"]]
            audience = body["to"] if isinstance(body["to"], dict) else {}
            made = [
                testing.SentNotification(
                    to=recipient,
                    title=body.get("title", ""),
                    type=body.get("type", "general"),
                    tenant=audience.get("tenant", body.get("tenant")),
                    message=body.get("body", ""),
                    priority=body.get("priority", "normal"),
                    data=dict(body.get("data", {})),
                    action_url=body.get("action_url"),
                    channels=body.get("channels"),
                    send_at=one.send_at,
                    id=str(uuid4()),
                )
                for recipient in recipients
            ]
            testing.sent.extend(made)
            one.assign_ids([notification.id for notification in made])
        return None


class ConsoleBackend:
    """Prints to standard output immediately."""

    def send(self, sends: Sequence[OutgoingSend], using: str | None) -> int | None:
        for one in sends:
            sys.stdout.write(f"bellcast {one.kind} {outbox.encode(one.payload)}\n")
        return None


def _posting(one: OutgoingSend) -> Callable[[], None]:
    """Return a hook that sends by HTTP, and logs a failure."""

    def post() -> None:
        try:
            bell = conf.client()
            if one.kind == "publish":
                bell.sender.send(call("POST", "/v1/events", NoneType, one.request_body))
                return
            if records := one.payload.get(ADDRESSES):
                write_addresses(bell, one.payload.get("tenant"), records)
            one.assign_ids(bell.sender.send(once("/v1/notifications", json(one.request_body), str(one.key), Sent)).ids)
        except BellcastError as error:
            log.error("send_failed kind=%s error=%s", one.kind, error)  # noqa: TRY400  the traceback is of the client

    return post


@cache
def _instance(path: str) -> Backend:
    made: Backend = conf.imported("BACKEND", path)()
    return made


def current() -> Backend:
    """Return the configured backend. Under Django's test runner, return the list backend, in the same way as for
    e-mail."""
    from django.core import mail

    if hasattr(mail, "outbox"):
        return _instance(f"{conf.BACKENDS}.LocmemBackend")
    return _instance(conf.current().backend_path)
