"""Test support: under Django's test runner, sends appear in `sent` immediately, without a server, as e-mails do in the
outbox of `mail`."""

from dataclasses import dataclass, field
from typing import Any


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
keys: set[Any] = set()  # of all recorded sends


def clear() -> None:
    """Remove all records."""
    sent.clear()
    published.clear()
    keys.clear()


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
