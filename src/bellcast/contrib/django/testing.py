"""Test support: under Django's test runner, sends appear in `sent` immediately, without a server, as e-mails do in the
outbox of `mail`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:  # the backends import this module
    from bellcast.contrib.django.backends import OutgoingSend


@dataclass(slots=True)
class SentNotification:
    """One notification of one recipient; `to` is a recipient, or the audience of an announcement."""

    to: Any
    title: str
    type: str = "general"
    tenant: str | None = None
    message: str = ""
    priority: str = "normal"
    data: dict[str, Any] = field(default_factory=dict)
    action_url: str | None = None
    channels: list[Any] | None = None
    send_at: Any = None
    id: str = ""


@dataclass(slots=True)
class PublishedEvent:
    """One live event; `to` is the topic, the list of topics or the recipient."""

    to: Any
    name: str
    data: Any = None
    tenant: str | None = None


sent: list[SentNotification] = []
published: list[PublishedEvent] = []
_keys: set[Any] = set()


def clear() -> None:
    """Remove all records."""
    sent.clear()
    published.clear()
    _keys.clear()


def record(one: "OutgoingSend") -> None:
    """Record a send of the backend. A repeated idempotency key records nothing."""
    if one.key in _keys:
        return
    _keys.add(one.key)
    body = one.request_body
    if one.kind == "publish":
        to = body.get("topic") or body.get("topics") or body.get("recipient")
        published.append(PublishedEvent(to, body["name"], body.get("data"), body.get("tenant")))
        return
    recipients = body["to"] if isinstance(body["to"], list) else [body["to"]]
    made = [
        SentNotification(
            to=recipient,
            title=body.get("title", ""),
            type=body.get("type", "general"),
            tenant=body.get("tenant"),
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
    sent.extend(made)
    one.assign_ids([notification.id for notification in made])


class BellcastTestMixin:
    """For Django's TestCase classes: clears `sent` before each test.

    class BookingTests(BellcastTestMixin, TestCase):
        def test_notifies_the_client(self):
            …
            self.assertEqual(self.bellcast_sent[0].title, "New booking")
    """

    def setUp(self) -> None:
        clear()
        super().setUp()  # type: ignore[misc]  # a mixin: the next class is a TestCase

    @property
    def bellcast_sent(self) -> list[SentNotification]:
        return sent
