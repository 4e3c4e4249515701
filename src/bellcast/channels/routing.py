"""Decide which recipients get a send through which channels, and create its inbox rows and messages."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field

from bellcast.channels import audiences, contents, decision_inputs, links
from bellcast.channels.catalog import Catalog, no_template
from bellcast.channels.contents import Contents, SendRoute
from bellcast.channels.decision_inputs import RecipientInputs
from bellcast.channels.delivery import MessageReports
from bellcast.channels.types import (
    EXTERNAL_CHANNELS,
    NO_CONTENT,
    OPEN_STATES,
    ChannelConfig,
    ExternalChannel,
    NewDecision,
    NewMessage,
    as_change,
)
from bellcast.documents.types import CACHE_SECONDS, MAX_CACHED, is_cached
from bellcast.inbox.types import (
    GENERAL,
    Audience,
    ChannelRequest,
    Content,
    Draft,
    NotificationType,
    content,
)
from bellcast.inbox.types.sends import AnnounceRequest, SendRequest
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import Pauses, Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Invalid
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT, Project
from bellcast.preferences.decision import SEND, Decision
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.preferences.types import NO_PREFERENCES, Channel
from bellcast.recipients.types import Profile
from bellcast.templates.budget import budget_of
from bellcast.templates.rendering import SharedResults
from bellcast.templates.types import Template
from bellcast.webhooks.types import WebhookSink, no_report

CREATED = "notification.created"
INBOX_ONLY = (ChannelRequest(channel="inbox"),)

# Returns which of these channels are simulated for a tenant, because no provider delivers them.
FindSimulated = Callable[[str, Iterable[Channel]], Awaitable[frozenset[Channel]]]


class Router(Struct, eq=False):
    """Routes sends to named recipients."""

    db: Engine
    clock: Clock
    catalog: Catalog
    config: ChannelConfig
    project: Project | None
    new_id: Callable[[int], str]
    wake_jobs: Callable[[], None]
    webhooks: WebhookSink
    find_simulated: FindSimulated
    reports: MessageReports
    _inbox_only: dict[tuple[str, str], int] = field(default_factory=dict)

    def is_inbox_only(self, draft: Draft, tenant: str) -> bool:
        """True if, within the last CACHE_SECONDS, sends of this tenant and type used no channel but the inbox."""
        if draft.channels is not None or draft.template is not None or draft.title is UNSET:
            return False
        return is_cached(self._inbox_only.get((tenant, draft.type), 0), self.clock.now())

    def committed(self, requests: Sequence[SendRequest | AnnounceRequest]) -> None:
        """Start delivering the messages of committed requests, and report those that have already ended."""
        messages: list[NewMessage] = []
        for one in requests:
            if isinstance(one, SendRequest):
                self.reports.accepted["notification"] += len(one.ids)
                messages += one.messages
            else:
                self.reports.accepted["announcement"] += one.has_row
        ended = [message for message in messages if message.state not in OPEN_STATES]
        if ended:
            self.reports.report(ended)
        has_work = [bool(one.events or (isinstance(one, AnnounceRequest) and one.fanout)) for one in requests]
        if len(ended) < len(messages) or any(has_work):
            self.wake_jobs()

    def without_effects(self, new_id: Callable[[int], str]) -> "Router":
        """Return a router that decides in the same way, without reports and links of recipients."""
        return msgspec.structs.replace(
            self,
            project=None,
            new_id=new_id,
            wake_jobs=lambda: None,
            webhooks=WebhookSink(),
            _inbox_only={},
        )

    def forget(self) -> None:
        """Drop cached types, templates and preferences after a change in this process."""
        self._inbox_only = {}  # a new one: a send that is being routed keeps its result in the old one
        self.catalog.forget()

    async def channels_of(self, draft: Draft, tenant: str) -> tuple[tuple[ChannelRequest, ...], NotificationType]:
        """Return the channels of a send: its own, else its type's, else BELLCAST_CHANNELS."""
        type = await self.catalog.type(tenant, draft.type)
        entries = draft.channels or type.channels or self.config.default
        return tuple(ChannelRequest(channel=e) if isinstance(e, str) else e for e in entries), type  # type: ignore[arg-type]  # checked

    async def route(self, draft: Draft, request: SendRequest) -> SendRequest:
        """Return the request with its inbox rows, messages and decisions. Raises Invalid if its template cannot be
        rendered for one of the named recipients, or if its type refuses its data."""
        kept_in = self._inbox_only
        channels, type = await self.channels_of(draft, request.tenant)
        template_key = _template_key(draft, type)
        await self.catalog.check_data(request.tenant, draft.type, draft.data)
        report = await self.webhooks.report(request.tenant, [CREATED])
        is_plain = channels == INBOX_ONLY and template_key is None and report is no_report
        # If no preference switches the inbox off, an inbox-only send reads nothing about its recipients.
        if (
            is_plain
            and all(document == NO_PREFERENCES for document in await self.catalog.preferences(request.tenant))
            and not await OwnPreferencesTable(self.db).any_switches_inbox(request.tenant)
        ):
            if draft.channels is None and type.data is None:
                if len(kept_in) >= MAX_CACHED:
                    kept_in.clear()
                kept_in[request.tenant, draft.type] = self.clock.now() + int(CACHE_SECONDS * 1000)
            return request
        routed = await self.decide(await self._read(draft, request, channels, template_key), request)
        return await self.with_events(routed)

    async def with_events(self, request: SendRequest) -> SendRequest:
        """Return the request with the webhook events of its commit."""
        types = [f"message.{state}" for state in {message.state for message in request.messages}]
        report = await self.webhooks.report(request.tenant, [CREATED, *types])
        if report is no_report:
            return request
        contents = request.contents or (request.content,) * len(request.ids)
        rows = zip(request.ids, request.recipients, contents, strict=True)
        changes = [(CREATED, {"id": id, "recipient": key, **msgspec.to_builtins(one)}) for id, key, one in rows]
        changes += [(f"message.{message.state}", as_change(message)) for message in request.messages]
        events = tuple(event for type, change in changes for event in report(type, change))
        return msgspec.structs.replace(request, events=events)

    async def plan(self, draft: Draft, request: SendRequest) -> Sequence[NewDecision]:
        """Return what `route` would decide. Raises Invalid like `route`."""
        channels, type = await self.channels_of(draft, request.tenant)
        template_key = _template_key(draft, type)
        await self.catalog.check_data(request.tenant, draft.type, draft.data)
        route = await self._read(draft, request, channels, template_key)
        return (await self.decide(route, request)).decisions

    async def plan_audience(
        self, draft: Draft, tenant: str, audience: Audience, limit: int
    ) -> tuple[int | None, Sequence[NewDecision]]:
        """Return the number of members, and what an announcement would decide for the first of them. Its row is in
        every member's inbox, regardless of preferences."""
        if tenant == EVERY_TENANT:
            return None, ()
        number, keys = await audiences.first(self.db, tenant, audience, limit)
        decided: dict[str, list[NewDecision]] = {key: [] for key in keys}
        if "inbox" in await self.channels(draft, tenant):
            now = self.clock.now()
            decided = {key: [decision_inputs.record(SEND, (tenant, "", key, "inbox"), now)] for key in keys}
        for one in (await self.route_page(draft, tenant, "", keys)).decisions:
            decided[one.recipient].append(one)
        return number, [one for decisions in decided.values() for one in decisions]

    async def channels(self, draft: Draft, tenant: str) -> Sequence[Channel]:
        """Return the channels of a send."""
        entries, _ = await self.channels_of(draft, tenant)
        return [entry.channel for entry in entries]

    async def announced(self, draft: Draft, request: AnnounceRequest) -> Content:
        """Return the content of an announcement's row: the send's own fields, else those of the template, in the
        tenant's language. All recipients share it, so `recipient` has no values. Raises Invalid, even for an
        announcement without a row, if it has neither a title nor a template, or if its type refuses its data."""
        tenant = DEFAULT_TENANT if request.tenant == EVERY_TENANT else request.tenant
        await self.catalog.check_data(tenant, draft.type, draft.data)
        type = await self.catalog.type(tenant, draft.type)
        key = _template_key(draft, type)
        if key is None:
            return request.content
        template = await self.template(tenant, key)
        if not request.has_row:
            return request.content
        route = await self.route_for(tenant, draft, INBOX_ONLY, template, RecipientInputs({}, frozenset()))
        await budget_of(tenant).wait()
        roots = partial(contents.own_roots, draft, request.content, route.inputs.tenant, None)
        return Contents(route=route, profile=Profile(key=""), links={}, roots=roots).inbox()

    async def route_page(
        self, draft: Draft, tenant: str, id: str, keys: Sequence[str], scheduler: Scheduler | None = None
    ) -> SendRequest:
        """Return the messages and decisions of an announcement's other channels for a page of its recipients. Only the
        messages that cannot be rendered fail. Under contention, the scheduler's other work goes first."""
        entries, type = await self.channels_of(draft, tenant)
        page = SendRequest(
            tenant=tenant,
            recipients=tuple(keys),
            ids=(id,) * len(keys),
            content=content(draft),
            created_at=self.clock.now(),
        )
        external = tuple(entry for entry in entries if entry.channel != "inbox")
        route = await self._read(draft, page, external, draft.template or type.template)
        pauses = Pauses(scheduler)
        return await self.with_events(await self.decide(route, page, pauses=pauses, stores_failures=True))

    async def route_for(
        self,
        tenant: str,
        draft: Draft,
        channels: tuple[ChannelRequest, ...],
        template: Template | None,
        recipients: RecipientInputs,
        workflow: str | None = None,
        shared: SharedResults | None = None,
    ) -> SendRoute:
        """Read what the routes of these recipients share; for a workflow's step, those of the runs that are executed together."""
        # Whether any content can contain an unsubscribe or preferences link. Signing these takes as long as a rendering.
        uses_links = any(entry.channel != "inbox" for entry in channels) or (
            template is not None and links.VARIABLE_SUFFIX in msgspec.json.encode(template)
        )
        return SendRoute(
            tenant=tenant,
            draft=draft,
            content=content(draft),
            channels=channels,
            template=template,
            layouts=await self.catalog.layouts(tenant, template, draft.email),
            inputs=await decision_inputs.with_rules(self.catalog, tenant, draft.type, recipients, workflow),
            simulated=await self.find_simulated(tenant, [entry.channel for entry in channels]),
            uses_links=uses_links,
            shared=shared,
        )

    async def plan_steps(
        self, tenant: str, workflow: str, type: str | None, recipients: Sequence[str], channels: Sequence[Channel]
    ) -> list[NewDecision]:
        """Return what steps of a workflow on these channels would decide now."""
        now, type = self.clock.now(), type or GENERAL
        inputs = await decision_inputs.read(self.db, self.catalog, tenant, type, recipients, channels, workflow)
        return [
            decision_inputs.record(
                inputs.decide(inputs.profile(key), channel, "normal", now), (tenant, "", key, channel), now
            )
            for key in recipients
            for channel in channels
        ]

    async def template(self, tenant: str, key: str) -> Template:
        """Return the template that applies to a tenant. Raises Invalid, with the nearest key, if none does."""
        if (template := await self.catalog.template(tenant, key)) is None:
            raise Invalid.of("template", await no_template(self.db, tenant, key))
        return template

    async def _read(
        self,
        draft: Draft,
        request: SendRequest,
        channels: tuple[ChannelRequest, ...],
        template_key: str | None,
    ) -> SendRoute:
        tenant = request.tenant
        template = None if template_key is None else await self.template(tenant, template_key)
        names = [entry.channel for entry in channels]
        recipients = await decision_inputs.read_recipients(self.db, tenant, request.recipients, names)
        return await self.route_for(tenant, draft, channels, template, recipients)

    async def decide(
        self,
        route: SendRoute,
        request: SendRequest,
        run: str | None = None,
        variables: Callable[[], Mapping[str, Any]] | None = None,
        *,
        pauses: Pauses | None = None,
        stores_failures: bool = False,
    ) -> SendRequest:
        """Return the request with the inbox rows, messages and decisions of its recipients. `variables` returns the variables
        of the templates of a run's step. Raises Invalid if its template cannot be rendered; with `stores_failures`, messages
        that cannot be rendered are failed ones."""
        rows: list[tuple[str, str, Content]] = []
        messages: list[NewMessage] = []
        decisions: list[NewDecision] = []
        draft, pauses, budget = route.draft, pauses or Pauses(), budget_of(request.tenant)
        for id, key in zip(request.ids, request.recipients, strict=True):
            await pauses.pause_if_due()
            await budget.wait()
            profile = route.inputs.profile(key)
            rendered = self._contents(route, profile, request.created_at, variables)
            first = len(messages)
            is_hidden = False
            for entry in route.channels:
                decision = route.inputs.decide(profile, entry.channel, draft.priority, request.created_at)
                added: list[NewMessage] = []
                if entry.channel == "inbox":
                    is_hidden = decision.outcome == "skip"
                    if not is_hidden:
                        rows.append((id, key, rendered.inbox()))
                elif decision.outcome != "skip" and entry.channel in EXTERNAL_CHANNELS:
                    message = self._message(route, request, profile, id, run, entry, decision)
                    try:
                        message = msgspec.structs.replace(message, content=rendered.external(entry.channel))
                    except Invalid as error:
                        if not stores_failures:
                            raise
                        message = _failed(message, error.reason, request.created_at)
                    # A recipient has one e-mail address and number, but can have several devices and chats.
                    addresses = route.inputs.addresses(profile, entry.channel)
                    added = [
                        msgspec.structs.replace(message, id=self.new_id(message.created_at), address=address)
                        for address in addresses
                    ]
                    messages += added
                place = request.tenant, id, key, entry.channel
                first_added = next(iter(added), None)
                decisions.append(decision_inputs.record(decision, place, request.created_at, first_added))
            if is_hidden:  # without an inbox row, the notification cannot be seen there
                messages[first:] = [msgspec.structs.replace(message, unless=None) for message in messages[first:]]
        return msgspec.structs.replace(
            request,
            ids=tuple(id for id, _, _ in rows),
            recipients=tuple(key for _, key, _ in rows),
            contents=tuple(item for _, _, item in rows),
            messages=tuple(messages),
            decisions=tuple(decisions),
        )

    def missing(
        self, route: SendRoute, request: SendRequest, variables: Callable[[], Mapping[str, Any]] | None
    ) -> list[str]:
        """Return the variables without a value in the content of the request's only recipient."""
        (key,) = request.recipients
        profile = route.inputs.profile(key)
        rendered = self._contents(route, profile, request.created_at, variables, is_strict=False)
        for entry in route.channels:
            with contextlib.suppress(Invalid):  # without their values, the content may be empty
                if entry.channel == "inbox":
                    _ = rendered.inbox_fields
                elif entry.channel in EXTERNAL_CHANNELS:
                    rendered.external(entry.channel)
        return rendered.renderer.missing

    def _contents(
        self,
        route: SendRoute,
        profile: Profile,
        now: int,
        variables: Callable[[], Mapping[str, Any]] | None,
        *,
        is_strict: bool = True,
    ) -> Contents:
        urls: Mapping[str, str] = {}
        if route.uses_links:
            types = () if route.inputs.type.requires("email") else (route.draft.type,)
            urls = links.links(self.config, self.project, route.tenant, profile.key, types, now)
        return Contents(route=route, profile=profile, links=urls, is_strict=is_strict, roots=variables)

    def _message(
        self,
        route: SendRoute,
        request: SendRequest,
        profile: Profile,
        notification: str,
        run: str | None,
        entry: ChannelRequest,
        decision: Decision,
    ) -> NewMessage:
        """Return a message without its id, its address and its content."""
        channel: ExternalChannel = entry.channel  # type: ignore[assignment]  # the caller has checked it
        due_at = max(request.created_at + int(times.seconds(entry.after) * 1000), decision.at or 0)
        expires_at = request.content.expires_at
        return NewMessage(
            id="",
            tenant=request.tenant,
            recipient=profile.key,
            notification=notification,
            run=run,
            channel=channel,
            type=route.draft.type,
            priority=route.draft.priority,
            address="",
            state="held" if due_at > request.created_at else "simulated" if channel in route.simulated else "queued",
            # The delay ends after the hold; the rules then decide again.
            reason=decision.rule if decision.at == due_at else None,
            unless=entry.unless,
            due_at=due_at,
            created_at=request.created_at,
            expires_at=None if expires_at is None else times.milliseconds(expires_at),
            content=NO_CONTENT,
        )


def _failed(message: NewMessage, reason: str, now: int) -> NewMessage:
    """Return a message that cannot be rendered as one that has failed."""
    return msgspec.structs.replace(message, state="failed", reason=reason, unless=None, due_at=now, expires_at=None)


def _template_key(draft: Draft, type: NotificationType) -> str | None:
    """Return the template of a send. Raises Invalid if it has neither a template nor a title."""
    key = draft.template or type.template
    if key is None and draft.title is UNSET:
        raise Invalid.of("title", "is required, because neither the send nor its type has a template")
    return key
