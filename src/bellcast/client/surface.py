"""Everything that can be asked of a Bellcast server: the whole client on one page."""

from types import TracebackType
from typing import Self

import httpx

from bellcast.client import inbox, notifications, recipients, topics
from bellcast.client.exchange import Retries
from bellcast.client.method import Method, S, Surface
from bellcast.client.senders import Awaiting, Blocking, connection

# A server that answers at all answers in milliseconds; a bulk slice of 10,000 takes about a second.
TIMEOUT = 10.0


class Inbox(Surface[S]):
    """One recipient's inbox."""

    list = Method(inbox.page)
    changed = Method(inbox.changed)
    counts = Method(inbox.counts)
    get = Method(inbox.get)
    seen = Method(inbox.seen)
    read = Method(inbox.read)
    unread = Method(inbox.unread)
    archive = Method(inbox.archive)
    unarchive = Method(inbox.unarchive)
    mark = Method(inbox.mark)
    delete = Method(inbox.delete)
    clear = Method(inbox.clear)


class Recipients(Surface[S]):
    """The records of those who can be notified."""

    list = Method(recipients.page)
    get = Method(recipients.get)
    put = Method(recipients.put)
    patch = Method(recipients.patch)
    delete = Method(recipients.delete)
    export = Method(recipients.export)


class Server(Surface[S]):
    """A Bellcast server, spoken to with the project secret or an API key."""

    notify = Method(notifications.notify)
    bulk = Method(notifications.bulk)
    notification = Method(notifications.read)
    edit = Method(notifications.edit)
    recall = Method(notifications.recall)

    publish = Method(topics.publish)
    subscribe = Method(topics.subscribe)
    unsubscribe = Method(topics.unsubscribe)
    subscriptions = Method(topics.subscriptions)
    presence = Method(topics.presence)

    token = Method(recipients.token)
    revoke = Method(recipients.revoke)
    connections = Method(topics.connections)
    stats = Method(topics.stats)

    @property
    def recipients(self) -> Recipients[S]:
        return Recipients(self.sender)

    def inbox(self, token: str) -> Inbox[S]:
        """The inbox of the recipient that session token belongs to."""
        return Inbox(self.sender.speaking_with(token))


class Bellcast(Server[Blocking]):
    """Speaks to a Bellcast server, waiting for each answer. Safe to share between threads.

    >>> bell = Bellcast("http://127.0.0.1:8787", secret)
    >>> bell.notify("alice", title="New booking", action_url="/bookings/7", type="booking")
    """

    def __init__(self, url: str, secret: str, *, timeout: float = TIMEOUT, retries: Retries | None = None) -> None:
        super().__init__(Blocking(httpx.Client(**connection(url, timeout)), retries or Retries(), secret))

    def close(self) -> None:
        self.sender.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncBellcast(Server[Awaiting]):
    """Speaks to a Bellcast server from an event loop: the methods of `Bellcast`, awaited.

    >>> async with AsyncBellcast("http://127.0.0.1:8787", secret) as bell:
    ...     await bell.notify("alice", title="New booking", action_url="/bookings/7", type="booking")
    """

    def __init__(self, url: str, secret: str, *, timeout: float = TIMEOUT, retries: Retries | None = None) -> None:
        super().__init__(Awaiting(httpx.AsyncClient(**connection(url, timeout)), retries or Retries(), secret))

    async def close(self) -> None:
        await self.sender.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
