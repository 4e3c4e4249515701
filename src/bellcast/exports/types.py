"""The parts of a recipient's export besides its inbox, messages and runs. None of it is a secret: no keys of push
endpoints and no tokens of devices."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class ExportedDecision(Struct, frozen=True, kw_only=True):
    """The decision for one channel of a notification, and its rule. `source` is the object that set the rule."""

    notification: str
    channel: str
    outcome: str
    rule: str | None
    source: str | None
    message: str | None
    due_at: datetime | None
    decided_at: datetime


class ExportedCounter(Struct, frozen=True, kw_only=True):
    """The state of a throttle or digest of a workflow, across runs. Without a workflow, the recipient already has the
    notification that `step` identifies, and does not get it again."""

    workflow: str
    step: str
    by: str
    run: str | None
    state: dict[str, Any]
    expires_at: datetime


class ExportedWait(Struct, frozen=True, kw_only=True):
    """A live event that a run waits for, of a topic or, without one, of the recipient; and the event, if it has
    occurred."""

    run: str
    step: str
    name: str
    topic: str | None
    event: dict[str, Any] | None


class ExportedEvent(Struct, frozen=True, kw_only=True):
    """An event about the recipient that was sent to webhooks, with the body of the requests."""

    id: str
    body: dict[str, Any]


class ExportedEndpoint(Struct, frozen=True, kw_only=True):
    """A browser or app that receives push messages."""

    id: str
    kind: str
    created_at: datetime


class ExportedDevice(Struct, frozen=True, kw_only=True):
    """A connection of a device: the revision of the inbox that it acknowledged, and when it last did."""

    connection: str
    revision: int
    acknowledged_at: datetime


class ExportedTopics(Struct, frozen=True, kw_only=True):
    """The topics that a Socket.IO connection follows after a reconnect: joined by the app, and subscribed by the
    client."""

    connection: str
    joined: list[str]
    subscribed: list[str]
    saved_at: datetime


class ExportedObject(Struct, frozen=True, kw_only=True):
    """An object that the tenant defines: its current version, or a draft with the version that it changes as `base`."""

    key: str
    version: int
    content: dict[str, Any]
    created_at: datetime
    updated_at: datetime
