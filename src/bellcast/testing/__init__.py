"""For the tests of your app: the real server in a thread, and a client that records what it sends.

pytest loads the fixtures `bellcast_server` and `bellcast_fake` by itself."""

from bellcast.testing.fake import FakeBellcast, PublishedEvent, SentDraft
from bellcast.testing.local_server import LocalServer

__all__ = ["FakeBellcast", "LocalServer", "PublishedEvent", "SentDraft"]
