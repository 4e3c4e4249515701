"""Streams and live events, which brokers carry between processes, whatever the event is about, and patterns of topics: `*` matches any
characters, everything else itself."""

from collections.abc import Collection
from itertools import repeat
from typing import Any, NewType, Protocol

from msgspec import Struct

Stream = NewType("Stream", str)

# A unit separator cannot occur in tenant or recipient keys, which have no control characters, nor in topics.
SEPARATOR = "\x1f"
ANNOUNCEMENTS = Stream("announcements")
NODES = Stream("nodes")  # state exchanged between nodes
# Errors for values that MessagePack cannot encode. Data of senders is validated on receipt, but handlers may return any
# value.
UNENCODABLE = (OverflowError, ValueError, TypeError, RecursionError)
# Names of client-to-client events begin with it.
CLIENT_PREFIX = "client-"
# Topics of roles begin with it.
ROLE_PREFIX = "role."
# Streams of topics, and of recipients, begin with it.
TOPIC, INBOX = f"topic{SEPARATOR}", f"inbox{SEPARATOR}"


class Event(Protocol):
    """An event of any subject, as a broker carries it: a struct that MessagePack can encode."""

    @property
    def stream(self) -> Stream:
        """The stream that its readers follow."""


def inbox_stream(tenant: str, recipient: str) -> Stream:
    """Return the stream of a recipient's inbox changes and direct events."""
    return Stream(f"{INBOX}{tenant}{SEPARATOR}{recipient}")


def topic_stream(tenant: str, topic: str) -> Stream:
    """Return the stream of one topic's live events."""
    return Stream(f"{TOPIC}{tenant}{SEPARATOR}{topic}")


def topic_of(stream: str) -> str | None:
    """Return the topic of a stream; None for that of a recipient."""
    return stream.split(SEPARATOR, 2)[2] if stream.startswith(TOPIC) else None


def node_stream(node: str) -> Stream:
    """Return the stream of messages to one node."""
    return Stream(f"node{SEPARATOR}{SEPARATOR}{node}")


class LiveEvent(Struct, frozen=True, tag_field="kind", tag="event"):
    """A live event on a topic or to a recipient. `sender` is the connection excluded from delivery. `keep`: the history
    may keep the event; a stored event has an `id`.

    `text` is the data as serialized by the publisher, for dialects that transmit strings. `member` is the sending
    member of a presence topic. `accepted_at` is in UTC milliseconds; the history does not store it."""

    tenant: str
    name: str
    data: Any
    topic: str | None = None
    recipient: str | None = None
    sender: str | None = None
    text: str | None = None
    member: str | None = None
    keep: bool = True
    id: str | None = None
    trace: str | None = None
    accepted_at: int | None = None

    @property
    def stream(self) -> Stream:
        if self.topic is not None:
            return topic_stream(self.tenant, self.topic)
        return inbox_stream(self.tenant, self.recipient or "")


def pattern_matches(pattern: str, topic: str) -> bool:
    """Return whether the whole topic matches the pattern. The search for each part begins where the previous one ended,
    so the time is bounded for any pattern."""
    first, star, rest = pattern.partition("*")
    if not star:
        return pattern == topic
    if not topic.startswith(first):  # the usual end
        return False
    *middle, last = rest.split("*")
    at, end = len(first), len(topic) - len(last)
    if end < at or not topic.endswith(last):
        return False
    for part in middle:
        found = topic.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def any_pattern_matches(patterns: Collection[str], topic: str) -> bool:
    """Return whether one of the patterns matches. Most sessions have full topic names without `*`."""
    return topic in patterns or any(map(pattern_matches, patterns, repeat(topic)))


def role_topic(role: str) -> str:
    """Return the topic of all recipients with this role."""
    return ROLE_PREFIX + role
