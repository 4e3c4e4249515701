"""Support for your app's tests: the real server in a thread, and a client that records its sends. pytest loads the
fixtures `bellcast_server` and `bellcast_fake` automatically."""

from bellcast.testing.fake import FakeBellcast, PublishedEvent, SentDraft
from bellcast.testing.local_server import LocalServer

__all__ = ["FakeBellcast", "LocalServer", "PublishedEvent", "SentDraft"]
