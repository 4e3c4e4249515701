"""Explain why a recipient gets or does not get a notification through a channel: the last one, a sent one, those of a run,
or a hypothetical one."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec.structs import replace

from bellcast.channels import decision_inputs, explanations
from bellcast.channels.catalog import Catalog
from bellcast.channels.explanations import timeline
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import (
    EXTERNAL_CHANNELS,
    MAX_DECISIONS,
    MAX_MESSAGES,
    ChannelConfig,
    ChannelExplanation,
    Explanation,
    Fact,
    SimulationCause,
    StoredMessage,
)
from bellcast.inbox import sending
from bellcast.inbox.store.sent_items import SentItems
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import ids, times, validation
from bellcast.kernel.db.lists import ANY_TIME, ListQuery
from bellcast.kernel.errors import Invalid, NotFound
from bellcast.kernel.field_limits import KEY_PATTERN, Limit, ValueRule, text
from bellcast.kernel.http import request_body
from bellcast.kernel.times import Moment
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.types import ConnectionFilter, ConnectionInfo, NotificationWrite
from bellcast.live_feed import ServedRequest
from bellcast.preferences.decision import SEND
from bellcast.preferences.types import CHANNELS, Channel
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery
from bellcast.workflows.store import Runs
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import StoredRun
from bellcast.workflows.workflow_catalog import WorkflowCatalog

# Maximum notifications, connections and refused requests in an explanation, to keep it readable.
MAX_NOTIFICATIONS, MAX_CONNECTIONS, MAX_REFUSALS = 10, 5, 5


async def of_recipient(ctx: ApiContext, tenant: str, recipient: str, since: datetime | None) -> Explanation:
    """Explain the last notification. The facts are those since a time, by default of the last day."""
    engines, now = ctx.engines, ctx.engines.clock.now()
    start = now - times.DAY_MS if since is None else times.milliseconds(since)
    inputs = await decision_inputs.read(engines.db, ctx[Catalog], tenant, "", [recipient], ())
    if recipient not in inputs.profiles:
        text = f"No recipient of this tenant has the key {recipient}: nothing was sent to it, and no page opened its inbox."
        found = await _last_runs(ctx, tenant, recipient)
        # An open run, if there is one
        run = next((one for one in found if one.state not in runs.ENDED), found[0] if found else None)
        if run is None:
            text += " Check the key and the tenant. A send at a later time creates the recipient when it is sent."
        else:
            text += f" The run {run.id} of the workflow {run.workflow} is {run.state}"
            has_ended = run.state in runs.ENDED
            text += (
                " and has sent it no notification." if has_ended else ": its first notification creates the recipient."
            )
        return Explanation(verdict="unknown_recipient", text=text)
    items, explained, connections, facts = await _recent(ctx, tenant, recipient, start)
    ends = [one for one in connections if one.closed_at is not None]
    presence = "The recipient is not connected."
    if len(ends) < len(connections):
        presence = "The recipient is connected now."
    elif ends:
        last_end = max(ends, key=lambda one: one.closed_at or 0)
        at = _utc(times.to_rfc3339(last_end.closed_at or 0))
        presence = f"The recipient has not been connected since {at}: {last_end.reason}."
    run = await _last_run(ctx, tenant, recipient, items[0] if items else None, start)
    if items:
        text = f"The last notification was sent at {_utc(items[0].notification.created_at)}."
    else:
        period = "in the last 24 hours" if since is None else f"since {_utc(times.to_rfc3339(start))}"
        text = f"Nothing has been sent to the recipient {period}."
    last = explained[0] if items else Explanation(verdict="nothing_sent", text="")
    if run is not None:
        has_failed = run.state == "failed"
        last = explanations.with_run(await of_run(ctx, tenant, recipient, run.id), run.id, is_failed=has_failed)
        presence = (
            f"The run {run.id} of the workflow {run.workflow} {'has' if has_failed else 'is'} {run.state}. {presence}"
        )
    text = " ".join(part for part in (text, last.text, presence) if part)
    return replace(last, text=text, facts=facts, presence=presence)


def _utc(at: datetime) -> str:
    """Return a time with its seconds: the console shows it in the zone of its reader."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


async def _last_runs(ctx: ApiContext, tenant: str, recipient: str) -> Sequence[StoredRun]:
    query = ListQuery(tenants=[tenant], limit=MAX_NOTIFICATIONS, filters={"recipient": recipient})
    return (await Runs(ctx.engines.db).page(query)).items


async def _last_run(
    ctx: ApiContext, tenant: str, recipient: str, last: SentItem | None, start: int
) -> StoredRun | None:
    """Return the newest run that failed or goes on, of the one that sent the last notification and those since."""
    found = await _last_runs(ctx, tenant, recipient)
    since = start if last is None else times.milliseconds(last.notification.created_at)
    open_or_failed = (one for one in found if one.state == "failed" or one.state not in runs.ENDED)
    for run in open_or_failed:
        steps = () if last is None else runs.decode(run.body).steps.values()
        if run.created_at > since or any(
            last and last.notification.id in (one.notification, one.decided) for one in steps
        ):
            return run
    return None


async def _recent(
    ctx: ApiContext, tenant: str, recipient: str, start: int, type: str | None = None
) -> tuple[Sequence[SentItem], Sequence[Explanation], Sequence[ConnectionInfo], list[Fact]]:
    """Return a recipient's last notifications with their explanations, its connections, and the facts about all of them."""
    query = ListQuery(
        tenants=[tenant],
        limit=MAX_NOTIFICATIONS,
        created=ANY_TIME._replace(since=start),
        filters={"recipient": recipient, "type": type},
    )
    items = (await SentItems(ctx.engines.db).notifications(query)).items
    # The open and the recently closed connections
    connections: list[ConnectionInfo] = []
    for is_closed in (False, True):
        wanted = ConnectionFilter(recipient=recipient, is_closed=is_closed)
        connections += await ctx[ConnectionSurvey].page(tenant, None, MAX_CONNECTIONS, wanted)
    # Concurrently, because each queries the other nodes.
    writes = await asyncio.gather(
        *(ctx[ConnectionSurvey].writes(tenant, item.notification.id, recipient) for item in items)
    )
    explained = [await _explain(ctx, tenant, recipient, item, one) for item, one in zip(items, writes, strict=True)]
    facts = [fact for one in explained for fact in one.facts]
    for one in connections:
        facts.append(_fact(one.connected_at, "connected", f"{one.protocol} over {one.transport}"))
        if one.closed_at is not None:
            facts.append(_fact(one.closed_at, "disconnected", one.reason, None if one.code is None else str(one.code)))

    def is_refused(request: ServedRequest) -> bool:
        """Return whether a page of the recipient sent the request, to this node, and it was refused."""
        is_own = (request.tenant or "", request.recipient) == (tenant, recipient)
        return is_own and request.is_refused and request.at >= start

    for request in ctx.engines.feed.requests(is_refused)[:MAX_REFUSALS]:
        detail = f"{request.method} {request.path}: {request.detail or request.status}"
        facts.append(_fact(request.at, "refused", detail, request.code))
    return items, explained, connections, _ordered(facts, times.to_rfc3339(start))


async def _explain(
    ctx: ApiContext, tenant: str, recipient: str, item: SentItem, writes: Sequence[NotificationWrite]
) -> Explanation:
    db = ctx.engines.db
    id, type = item.notification.id, item.notification.type
    decisions = await Messages(db).decisions(tenant, id, recipient, MAX_DECISIONS)
    # Announcements record no decision for the inbox, and sends to every inbox and no other channel none at all.
    decided, created_at = decisions, times.milliseconds(item.notification.created_at)
    if item.has_row and (item.announcement or not decisions):
        decided = [decision_inputs.record(SEND, (tenant, id, recipient, "inbox"), created_at), *decisions]
    query = ListQuery(tenants=[tenant], filters={"notification": id, "recipient": recipient}, limit=MAX_MESSAGES)
    messages = (await Messages(db).page(query)).items
    inputs = await decision_inputs.read(db, ctx[Catalog], tenant, type, [recipient], ())
    zone, about = decision_inputs.zone_of(inputs.profile(recipient), inputs.tenant), inputs.subject(recipient)
    actions = await Messages(db).actions(tenant, id, recipient, MAX_DECISIONS)
    entries = timeline(item, decisions, messages[::-1], actions, writes, ctx.engines.clock.now())
    explained = explanations.explain_sent(decided, messages, about, zone)
    explained = replace(explained, facts=explanations.facts_of(item, entries, about))
    causes = await simulation_causes(ctx, tenant)
    return explanations.with_actions(explained, recipient, type, simulated=causes, messages=messages)


async def simulation_causes(ctx: ApiContext, tenant: str) -> dict[Channel, SimulationCause]:
    """Return why channels of a tenant may store messages only. Push and chat lack a provider for apps only, the others if
    they have none."""
    providers, simulated = ctx[ProviderDirectory], ctx[ChannelConfig].simulate
    return {
        one: "setting" if one in simulated else "no_provider"
        for one in EXTERNAL_CHANNELS
        if one in ("push", "chat") or not await providers.can_deliver(tenant, one)
    }


def _fact(at: int, what: str, detail: str | None, rule: str | None = None) -> Fact:
    text = what if detail is None else f"{what}: {detail}"
    return Fact(at=times.to_rfc3339(at), what=what, detail=detail, rule=rule, text=text)


def _ordered(facts: Sequence[Fact], since: datetime) -> list[Fact]:
    """Return the facts since a time, in order of time."""
    return sorted((fact for fact in facts if fact.at >= since), key=lambda fact: fact.at)


async def of_notification(ctx: ApiContext, tenant: str, recipient: str, id: str, since: datetime | None) -> Explanation:
    """Explain a sent notification, with its facts since a time. Raises NotFound."""
    if not ids.is_id(id):
        raise NotFound("There is no notification with this id.")
    item = await SentItems(ctx.engines.db).find(tenant, id)
    if item is None or item.announcement or item.recipient != recipient:
        announced = await SentItems(ctx.engines.db).announced_to(tenant, recipient, id)
        if announced is None:
            # Without an inbox row of the recipient: outside the inbox, or as a member of an audience
            if not await Messages(ctx.engines.db).decisions(tenant, id, recipient, 1):
                text = "This recipient has no notification with this id."
                if item is not None:
                    text += " It has not opened its inbox since the announcement, or was not addressed."
                raise NotFound(text)
            if item is None or not item.announcement:
                item = await sending.find_outside(ctx.engines, tenant, id)
            announced = replace(item, recipient=recipient, has_row=False)
        item = announced
    writes = await ctx[ConnectionSurvey].writes(tenant, item.notification.id, recipient)
    explained = await _explain(ctx, tenant, recipient, item, writes)
    return explained if since is None else replace(explained, facts=_ordered(explained.facts, since))


async def of_type(
    ctx: ApiContext, tenant: str, recipient: str, type: str, channels: Sequence[Channel], since: datetime | None
) -> Explanation:
    """Explain the result of a send at this moment, with the facts since a time of notifications of this type. Raises NotFound."""
    inputs = await decision_inputs.read(ctx.engines.db, ctx[Catalog], tenant, type, [recipient], channels)
    if recipient not in inputs.profiles:
        raise NotFound("There is no recipient with this key.")
    profile, now = inputs.profile(recipient), ctx.engines.clock.now()
    decisions = [(channel, inputs.decide(profile, channel, "normal", now)) for channel in channels]
    zone = decision_inputs.zone_of(profile, inputs.tenant)
    explained = explanations.explain_now(decisions, inputs.subject(recipient), zone)
    if since is not None:
        *_, facts = await _recent(ctx, tenant, recipient, times.milliseconds(since), type)
        explained = replace(explained, facts=facts)
    causes = await simulation_causes(ctx, tenant)
    return explanations.with_actions(explained, recipient, type, simulated=causes)


async def of_run(ctx: ApiContext, tenant: str, recipient: str, id: str) -> Explanation:
    """Explain the sending steps of a run, in order. Raises NotFound."""
    db = ctx.engines.db
    run = await Runs(db).get(id)
    if run is None or run.tenant != tenant or run.recipient != recipient:
        raise NotFound("This recipient has no run with this id.")
    definition = await ctx[WorkflowCatalog].definition(run.owner, run.workflow, run.version)
    inputs = await decision_inputs.read(db, ctx[Catalog], tenant, definition.type or "", [recipient], ())
    causes, about = await simulation_causes(ctx, tenant), inputs.subject(recipient)
    zone, state = decision_inputs.zone_of(inputs.profile(recipient), inputs.tenant), runs.decode(run.body)
    explained: list[ChannelExplanation] = []
    sent_messages: list[StoredMessage] = []
    for step in definition.ordered:
        done = state.step(step.key)
        if step.type not in CHANNELS or done.state in ("pending", "running"):
            continue
        if done.decided is None:
            explained.append(explanations.explain_undecided(step.type, done.reason))
            continue
        stored = await Messages(db).decisions(tenant, done.decided, recipient, MAX_DECISIONS)
        messages = await Messages(db).find(list(done.messages)) if done.messages else ()
        sent_messages += messages
        decisions = [one for one in stored if one.channel == step.type]
        explained += explanations.explain_sent(decisions, messages, about, zone).channels
    joined = explanations.joined(explained)
    return explanations.with_actions(joined, recipient, simulated=causes, messages=sent_messages)


class ExplainQuery(TenantQuery, frozen=True, kw_only=True):
    """A recipient, alone or with a sent notification, a run, or a type for a hypothetical send; and since when to return
    facts."""

    recipient: Annotated[str, ValueRule(schema=lambda limits: text(limits.key, KEY_PATTERN))]
    notification: str | None = None
    run: str | None = None
    type: Annotated[str | None, Limit("type")] = None
    channel: Channel | None = None
    since: Moment | None = None


@Resource("explain", tag="Sending", query=ExplainQuery).get(Explanation)
async def explain(call: ResourceCall[None]) -> Explanation:
    """Explain a delivery.

    With `recipient` alone: the last notification, or its run if that failed or goes on, and the facts since `since`, by default of the last day:
    notifications, connections, and requests that this node refused. With `notification` or `run`: the decisions for the
    recipient at the time of the send, and their results; with `since`, only the facts since then. With `type`, and
    optionally `channel`: the result of a send at this moment; with `since`, also the facts since then, of notifications
    of this type. `text` explains it in sentences."""
    ctx, tenant, query = call.ctx, call.tenant, request_body.query(call.request, ExplainQuery)
    validation.check(validation.key("recipient", query.recipient, ctx.limits))
    if [query.notification, query.run, query.type].count(None) < 2:
        raise Invalid.of("notification", "expected one of notification, run, and type with channel")
    if query.type is None and query.channel is not None:
        raise Invalid.of("channel", "is only for type; notification and run explain every channel")
    if query.run is not None:  # its explanation has no facts
        return await of_run(ctx, tenant, query.recipient, query.run)
    if query.notification is not None:
        return await of_notification(ctx, tenant, query.recipient, query.notification, query.since)
    if query.type is None:
        return await of_recipient(ctx, tenant, query.recipient, query.since)
    validation.check(validation.text("type", query.type, ctx.limits.type))
    channels = CHANNELS if query.channel is None else (query.channel,)
    return await of_type(ctx, tenant, query.recipient, query.type, channels, query.since)
