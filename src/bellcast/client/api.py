"""The public classes of the client, with all their methods."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from types import CoroutineType, TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from bellcast.client import inbox, messages, notifications, objects, recipients, topics, workflows
from bellcast.client.credentials import Credentials, find_credentials, find_url
from bellcast.client.errors import InvalidArgument
from bellcast.client.http_senders import AsyncSender, SyncSender, connection, loop_connections, process_connections
from bellcast.client.request import TIMEOUT, Peer, Plan, Retries

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", SyncSender, AsyncSender)


class Surface(Generic[S]):
    """A class with `Method` attributes, and the sender that they use."""

    def __init__(self, sender: S) -> None:
        self.sender: S = sender


class Method(Generic[P, T]):
    """Turns one pure function into a method of both clients.

    A builder takes the caller's arguments and returns the plan of requests. As a class attribute, `name = Method(builder)` is a
    method: type checkers see the builder's parameters, the blocking client returns the result, and the async client returns
    an awaitable."""

    def __init__(self, build: Callable[P, Plan[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Method[P, T]": ...
    @overload
    def __get__(self, instance: Surface[SyncSender], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Surface[AsyncSender], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, instance: Surface[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @functools.wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            sent = instance.sender.send(self.build(*args, **kwargs))
            if isinstance(sent, CoroutineType):  # Python names it if it is never awaited
                sent.__qualname__ = f"{type(instance).__name__}.{self._name}"
            return sent

        return method


class InboxApi(Surface[S]):
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
    snooze = Method(inbox.snooze)
    back = Method(inbox.back)
    act = Method(inbox.act)
    mark = Method(inbox.mark)
    delete = Method(inbox.delete)
    delete_many = Method(inbox.delete_many)
    clear = Method(inbox.clear)


class RecipientsApi(Surface[S]):
    """Records of recipients."""

    list = Method(recipients.page)
    get = Method(recipients.get)
    put = Method(recipients.put)
    patch = Method(recipients.patch)
    delete = Method(recipients.delete)
    export = Method(recipients.export)
    bulk = Method(recipients.bulk)


class PushEndpointsApi(Surface[S]):
    """Browsers and apps that receive a recipient's push messages."""

    list = Method(recipients.endpoints_page)
    register = Method(recipients.register_endpoint)
    delete = Method(recipients.delete_endpoint)
    key = Method(recipients.endpoint_key)


class TemplatesApi(Surface[S]):
    """Content with variables, used in sends by key."""

    list = Method(objects.templates.page)
    get = Method(objects.templates.get)
    put = Method(objects.templates.put)
    delete = Method(objects.templates.delete)
    preview = Method(objects.preview)
    test = Method(objects.send_test)
    import_email = Method(objects.import_email)
    change = Method(objects.change_template)
    versions = Method(objects.templates.versions)


class TypesApi(Surface[S]):
    """Notification types: the channels, the template and the switches of all notifications of a type."""

    list = Method(objects.types.page)
    get = Method(objects.types.get)
    put = Method(objects.types.put)
    delete = Method(objects.types.delete)


class MessagesApi(Surface[S]):
    """Messages through channels other than the inbox."""

    list = Method(messages.page)
    get = Method(messages.get)
    attempts = Method(messages.attempts)
    retry = Method(messages.retry)
    release = Method(messages.release)
    retry_all = Method(messages.retry_all)
    mailbox = Method(messages.mailbox)


class FailuresApi(Surface[S]):
    """Messages that failed or bounced, failed runs and dead jobs."""

    list = Method(messages.failures)
    causes = Method(messages.causes)


class ReplaysApi(Surface[S]):
    """Retries of failures in the background."""

    start = Method(messages.start_replay)
    list = Method(messages.replays_page)
    get = Method(messages.replay)
    cancel = Method(messages.cancel_replay)


class PreferencesApi(Surface[S]):
    """Recipients' channels and times: what they switch off, and when they want to be reached."""

    get = Method(recipients.preferences)
    put = Method(recipients.put_preferences)
    change = Method(recipients.change_preferences)
    link = Method(recipients.preferences_link)


class SuppressionsApi(Surface[S]):
    """Addresses to which nothing is sent: those that bounced, and your own."""

    list = Method(messages.suppressions)
    put = Method(messages.suppress)
    delete = Method(messages.allow)


class ProvidersApi(Surface[S]):
    """Vendors that deliver the messages of a channel."""

    list = Method(objects.providers.page)
    get = Method(objects.providers.get)
    put = Method(objects.providers.put)
    delete = Method(objects.providers.delete)
    test = Method(objects.check_provider)


class WebhooksApi(Surface[S]):
    """Your URLs to which events are sent."""

    list = Method(objects.webhooks.page)
    create = Method(objects.create_webhook)
    get = Method(objects.webhook)
    change = Method(objects.change_webhook)
    delete = Method(objects.delete_webhook)
    rotate = Method(objects.rotate_webhook)
    attempts = Method(objects.webhook_attempts)
    resend = Method(objects.resend_event)
    replay = Method(objects.replay_events)


class WorkflowsApi(Surface[S]):
    """Workflows: steps that run for a recipient."""

    list = Method(workflows.workflows.page)
    get = Method(workflows.workflows.get)
    put = Method(workflows.workflows.put)
    delete = Method(workflows.workflows.delete)
    change = Method(workflows.change)
    versions = Method(workflows.workflows.versions)
    simulate = Method(workflows.simulate)


class RunsApi(Surface[S]):
    """Runs of workflows and their steps."""

    list = Method(workflows.runs_page)
    get = Method(workflows.run)
    cancel = Method(workflows.cancel_run)
    retry = Method(workflows.retry_run)


class JobsApi(Surface[S]):
    """Jobs that failed several times in a row, until you retry or delete them."""

    list = Method(messages.dead_jobs)
    retry = Method(messages.retry_job)
    delete = Method(messages.delete_job)


class SchedulesApi(Surface[S]):
    """Triggers and notifications at scheduled times."""

    list = Method(objects.schedules.page)
    get = Method(objects.schedules.get)
    put = Method(objects.schedules.put)
    delete = Method(objects.schedules.delete)
    run = Method(workflows.run_schedule)
    next = Method(workflows.next_times)


class SourcesApi(Surface[S]):
    """Rules that turn live events of the app into sends or triggers."""

    list = Method(objects.sources.page)
    get = Method(objects.sources.get)
    put = Method(objects.sources.put)
    delete = Method(objects.sources.delete)


class ServerApi(Surface[S]):
    """A Bellcast server, accessed with the project secret or an API key."""

    notify = Method(notifications.notify)
    bulk = Method(notifications.bulk)
    import_notifications = Method(notifications.import_notifications)
    notification = Method(notifications.read)
    edit = Method(notifications.edit)
    recall = Method(notifications.recall)

    trigger = Method(workflows.trigger)
    cancel = Method(workflows.cancel)

    explain = Method(messages.explain)

    publish = Method(topics.publish)
    subscribe = Method(topics.subscribe)
    unsubscribe = Method(topics.unsubscribe)
    subscriptions = Method(topics.subscriptions)
    presence = Method(topics.presence)
    topic_events = Method(topics.topic_events)
    clear_topic_events = Method(topics.clear_topic_events)

    token = Method(recipients.token)
    editor_token = Method(objects.editor_token)
    end_editor_tokens = Method(objects.end_editor_tokens)
    revoke = Method(recipients.revoke)
    connections = Method(topics.connections)
    stats = Method(topics.stats)

    def __init__(self, sender: S) -> None:
        self.sender = sender
        self.recipients: RecipientsApi[S] = RecipientsApi(sender)
        self.push_endpoints: PushEndpointsApi[S] = PushEndpointsApi(sender)
        self.templates: TemplatesApi[S] = TemplatesApi(sender)
        self.types: TypesApi[S] = TypesApi(sender)
        self.messages: MessagesApi[S] = MessagesApi(sender)
        self.failures: FailuresApi[S] = FailuresApi(sender)
        self.replays: ReplaysApi[S] = ReplaysApi(sender)
        self.providers: ProvidersApi[S] = ProvidersApi(sender)
        self.webhooks: WebhooksApi[S] = WebhooksApi(sender)
        self.preferences: PreferencesApi[S] = PreferencesApi(sender)
        self.suppressions: SuppressionsApi[S] = SuppressionsApi(sender)
        self.workflows: WorkflowsApi[S] = WorkflowsApi(sender)
        self.schedules: SchedulesApi[S] = SchedulesApi(sender)
        self.sources: SourcesApi[S] = SourcesApi(sender)
        self.runs: RunsApi[S] = RunsApi(sender)
        self.jobs: JobsApi[S] = JobsApi(sender)

    @property
    def url(self) -> str:
        """The server's address, for the elements in your pages."""
        return self.sender.peer.url

    def inbox(self, token: str) -> InboxApi[S]:
        """Return the inbox of the recipient of this session token."""
        return InboxApi(self.sender.speaking_with(token))


class Bellcast(ServerApi[SyncSender]):
    """A blocking client of a Bellcast server. One object serves all threads, and forked processes.

    >>> bell = Bellcast()
    >>> bell.notify("alice", title="New booking", action_url="/bookings/7", type="booking")

    Without arguments it reads BELLCAST_URL, and BELLCAST_SECRET or BELLCAST_PROJECT (or the _FILE variable of each);
    otherwise it uses the server that `bellcast serve` last started with the data folder `./bellcast-data`
    (BELLCAST_DATA). It raises NotConfigured without a secret. `secret` is the project's secret or an API key, or
    Credentials of a secret and the project's public key.

    A request connects within 1 s, waits `timeout` seconds for a response (more for bulk sends), and is tried up to 3
    times within 8 s in all; sends carry an idempotency key, so a repeated try sends nothing twice. `transport` is an
    httpx transport, for tests and proxies; its connections are not renewed after a fork.

    Called inside a running event loop it warns (RuntimeWarning): use AsyncBellcast there. The logger `bellcast` has method,
    path, status and milliseconds of each request, at level DEBUG."""

    def __init__(
        self,
        url: str | None = None,
        secret: str | Credentials | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        peer = Peer(find_url(url), find_credentials(secret), timeout)
        connections = process_connections(lambda: httpx.Client(**connection(peer.url), transport=transport))
        super().__init__(SyncSender(retries or Retries(), peer, connections))

    def close(self) -> None:
        """Close the connections to the server."""
        self.sender.connections().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncBellcast(ServerApi[AsyncSender]):
    """A client for event loops: the methods of `Bellcast`, awaited. One object serves several loops.

    >>> async with AsyncBellcast() as bell:
    ...     await bell.notify("alice", title="New booking", action_url="/bookings/7", type="booking")

    Its arguments and defaults are those of Bellcast. A cancelled call may or may not have reached the server."""

    def __init__(
        self,
        url: str | None = None,
        secret: str | Credentials | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        peer = Peer(find_url(url), find_credentials(secret), timeout)
        connections = loop_connections(lambda: httpx.AsyncClient(**connection(peer.url), transport=transport))
        super().__init__(AsyncSender(retries or Retries(), peer, connections))

    async def close(self) -> None:
        """Close this event loop's connections to the server."""
        await self.sender.connections().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


# --- a replacement for the notification manager that Socket.IO apps usually write themselves

ADMIN_ROLE = "admin"
# The topic every signed-in Socket.IO client follows.
EVERYONE = "everyone"
NOTIFICATION_FIELDS = ("title", "body", "action_url", "action_text", "priority", "icon")


class NotificationManager:
    """Notify users, admins or all recipients. Each call is one live event and one notification; with `durable=False` it is
    the event alone, as in plain Socket.IO.

    >>> notifications = NotificationManager(Bellcast(url, secret))
    >>> notifications.notify_user("alice", "order_shipped", {"title": "Your order has shipped", "order": 7})

    `title`, `body`, `action_url`, `action_text`, `priority` and `icon` of the data become fields of the notification; the
    default title is the event's name with spaces.
    """

    def __init__(self, bell: Bellcast, *, admin_role: str = ADMIN_ROLE, everyone: str = EVERYONE) -> None:
        self._bell = bell
        self._admin_role = admin_role
        self._everyone = everyone

    def notify_user(self, user_id: str | int, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify one user on all of their connections."""
        if user_id is None:  # all users without an id would share an inbox
            raise InvalidArgument("user_id", "must be a string or a number")
        key = str(user_id)
        if durable:
            self._bell.notify(key, **_notification(event, data))
        self._bell.publish({"recipient": key}, event, dict(data))

    def notify_admins(self, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify all recipients with the admin role."""
        if durable:
            self._bell.notify({"role": self._admin_role}, **_notification(event, data))
        self._bell.publish(f"role.{self._admin_role}", event, dict(data))

    def broadcast(self, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify all recipients. The live event is published to the `everyone` topic; the notification is one announcement."""
        if durable:
            self._bell.notify({"all": True}, **_notification(event, data))
        self._bell.publish(self._everyone, event, dict(data))


def _notification(event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Build a notification from an event: known fields become the notification's, all others its data."""
    fields = {name: data[name] for name in NOTIFICATION_FIELDS if data.get(name) is not None}
    fields.setdefault("title", event.replace("_", " ").replace("-", " ").capitalize())
    rest = {name: value for name, value in data.items() if name not in NOTIFICATION_FIELDS}
    return {**fields, "type": event, "data": rest}
