"""Sends: turn drafts into durable rows, committed in shared transactions and then published; find, edit and recall what was sent."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeGuard, TypeVar

import msgspec
from msgspec import Struct

from bellcast.channels import audiences
from bellcast.channels.audiences import READS_PER_LEASE, PageCommit
from bellcast.channels.routing import Router
from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import Fanout, NewDecision, title_of
from bellcast.engines import Engines
from bellcast.inbox import types as notification_types
from bellcast.inbox.store import idempotency
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.store.sent_items import SentItems, existing, outside_notification
from bellcast.inbox.types import (
    GENERAL,
    AnnouncementMade,
    Audience,
    CreatedNotification,
    Draft,
    Edit,
    Sent,
    content,
)
from bellcast.inbox.types.sends import AnnounceRequest, Claim, ImportRequest, SendRequest, SendResult, SentItem
from bellcast.kernel import ids, times, validation
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import BellcastError, Conflict, DiskFull, Invalid, TooMany, Unavailable
from bellcast.kernel.events import role_topic
from bellcast.kernel.http import CURRENT_ID
from bellcast.kernel.identities import DEFAULT_TENANT, EVERY_TENANT
from bellcast.kernel.jobs import Job
from bellcast.kernel.limits import Limits
from bellcast.live_feed import KEPT_EVENTS, FeedEvent

_encode = msgspec.json.Encoder().encode

R = TypeVar("R", SendRequest, ImportRequest)
SendOrAnnounce: TypeAlias = SendRequest | AnnounceRequest


# Maximum recipients in the plan of a dry run, which is meant to be read.
PLANNED = 100


class RefusedSend(Struct, frozen=True):
    """A send that exceeds its tenant's quota, has expired, or has a template that cannot be rendered. If it repeats an earlier
    send, the stored response is returned without a charge."""

    request: SendOrAnnounce
    error: BellcastError


# A draft waits for its time.
Prepared: TypeAlias = SendOrAnnounce | RefusedSend | Draft | BellcastError


async def send(
    engines: Engines,
    limits: Limits,
    draft: Draft,
    claim: Claim | None = None,
    own_key: str | None = None,
    *,
    allows_past: bool = False,
) -> bytes:
    """Commit one draft and publish it. Return the JSON response: `{"notifications":[…]}`, `{"announcement":{…}}`, or with
    `send_at` `{"schedule":{…}}`. Raises ClaimTaken if another request has the claim. `own_key` is an idempotency key
    that no client can send. With `allows_past`, a draft whose `send_at` has passed is sent immediately, else it is
    refused."""
    engines.pace.contention.record()
    now = engines.clock.now()
    prepared = _prepare(engines, limits, draft, now, times.to_rfc3339(now), own_key)
    if _needs_routing(prepared, engines, draft):
        prepared = await _routed(engines, draft, prepared)
    if isinstance(prepared, SendRequest):
        request = msgspec.structs.replace(prepared, claim=claim) if claim else prepared
        (result,) = await commit(engines, [request], Sends(engines.db).add)
        response = response_of(result)
    else:
        response = await _send_one(engines, prepared, allows_past=allows_past)
    if isinstance(response, BellcastError):
        raise response
    return response


def is_later(draft: Draft) -> bool:
    """True for a send that waits for its time."""
    return draft.send_at is not None or draft.timezone is not None


async def plan(
    engines: Engines, limits: Limits, draft: Draft, limit: int = PLANNED
) -> tuple[int | None, Sequence[NewDecision]]:
    """Return what sending the draft would do: the number of recipients, None for an audience of more than 10,000, and
    the decisions for the first `limit` of them; none for an audience of all tenants. Nothing is written or charged."""
    now = engines.clock.now()
    errors = notification_types.draft_errors(draft, limits, times.to_rfc3339(now))
    validation.check(errors, engines.scheduler.time_errors(draft))
    if isinstance(draft.to, Audience):
        announcement = await _routed_announcement(engines, draft, _announce_request(engines, draft, draft.to, now))
        return await engines.router.plan_audience(draft, announcement.tenant, draft.to, limit)
    request = _send_request(engines, draft, draft.to, now)
    first = msgspec.structs.replace(request, recipients=request.recipients[:limit], ids=request.ids[:limit])
    return len(request.recipients), await engines.router.plan(draft, first)


class BulkSend(Struct, eq=False):
    """Commits many drafts in order, each accepted or refused separately. `allows_past` as in `send`.

    Once the store is unavailable, the following drafts are refused too. The same applies to a tenant's drafts once it
    exceeds its quota. So no draft is stored before an earlier one that the caller sends again. Large
    requests are sent in parts, because a recipient takes about 1 KB until its part is committed."""

    engines: Engines
    limits: Limits
    allows_past: bool = False
    _over: dict[str, TooMany | Conflict] = {}
    _failure: BellcastError | None = None
    _now: int = 0

    def __post_init__(self) -> None:
        """Take the time of all parts."""
        self._now = self.engines.clock.now()

    async def send(self, drafts: Sequence[Draft | BellcastError]) -> list[bytes | BellcastError]:
        """Commit the next drafts; return responses and refusals in the same order."""
        now, moment = self._now, times.to_rfc3339(self._now)
        prepared: list[Prepared] = []
        async for some in self.engines.pace.parts(drafts):
            prepared += [_prepare(self.engines, self.limits, draft, now, moment, over=self._over) for draft in some]
        responses = [] if self._failure is not None else await self._send(drafts, prepared)
        self._failure = self._failure or outage(responses)
        if self._failure is not None:
            refused = prepared[len(responses) :]
            for one in refused:
                if isinstance(one, SendRequest | AnnounceRequest):
                    _give_back(self.engines, one)
            responses += [one if isinstance(one, BellcastError) else self._failure for one in refused]
        return responses

    async def _send(
        self, drafts: Sequence[Draft | BellcastError], prepared: list[Prepared]
    ) -> list[bytes | BellcastError]:
        """Commit the prepared drafts, up to the first for which the store is unavailable."""
        engines = self.engines
        responses: list[bytes | BellcastError] = []
        waiting: list[SendRequest] = []
        for index, draft in enumerate(drafts):
            one = prepared[index]
            if isinstance(draft, Draft) and _needs_routing(one, engines, draft):
                one = prepared[index] = await _routed(engines, draft, one)
            if isinstance(one, SendRequest):
                waiting.append(one)
                continue
            responses += map(response_of, await commit(engines, waiting, Sends(engines.db).add))
            waiting = []
            if outage(responses) is None:
                responses.append(await _send_one(engines, one, allows_past=self.allows_past))
            if outage(responses) is not None:
                return responses
        return [*responses, *map(response_of, await commit(engines, waiting, Sends(engines.db).add))]


def outage(responses: Sequence[bytes | BellcastError]) -> BellcastError | None:
    """Return the last response if the store was unavailable for it; None otherwise."""
    last = responses[-1] if responses else None
    return last if isinstance(last, DiskFull | Unavailable) else None


def _needs_routing(prepared: Prepared, engines: Engines, draft: Draft) -> TypeGuard[SendRequest | AnnounceRequest]:
    """False for most sends, which use the inbox only."""
    if isinstance(prepared, SendRequest):
        return not engines.router.is_inbox_only(draft, prepared.tenant)
    return isinstance(prepared, AnnounceRequest)


async def _routed(engines: Engines, draft: Draft, prepared: SendOrAnnounce) -> Prepared:
    try:
        if isinstance(prepared, AnnounceRequest):
            return await _routed_announcement(engines, draft, prepared)
        return await engines.router.route(draft, prepared)
    except BellcastError as refusal:
        _give_back(engines, prepared)
        return RefusedSend(prepared, refusal)


async def _routed_announcement(engines: Engines, draft: Draft, request: AnnounceRequest) -> AnnounceRequest:
    """Return the request with what depends on its type and template: the content of its row, and the fan-out to
    channels outside the inbox. Raises Invalid."""
    tenant = DEFAULT_TENANT if request.tenant == EVERY_TENANT else request.tenant
    channels = await engines.router.channels(draft, tenant)
    is_inbox_only = all(channel == "inbox" for channel in channels)
    if request.tenant == EVERY_TENANT and not is_inbox_only:
        if draft.channels is not None:
            raise Invalid.of("channels", "must be only inbox for all tenants: for other channels, send to each tenant")
        is_inbox_only = True
    request = msgspec.structs.replace(request, has_row=is_inbox_only or "inbox" in channels)
    request = msgspec.structs.replace(request, content=await engines.router.announced(draft, request))
    return request if is_inbox_only else msgspec.structs.replace(request, fanout=_encode(draft))


async def _send_one(
    engines: Engines, prepared: AnnounceRequest | RefusedSend | Draft | BellcastError, *, allows_past: bool = False
) -> bytes | BellcastError:
    if isinstance(prepared, Draft):
        try:
            return await engines.scheduler.send_later(prepared, allows_past=allows_past)
        except BellcastError as refusal:
            return refusal
    if isinstance(prepared, RefusedSend):
        # The response to the earlier send that this one repeats, or else the error.
        request = prepared.request
        if request.idempotency_key is None:
            return prepared.error
        tenant, _ = _charge_of(request)
        key, fingerprint, now = request.idempotency_key, request.fingerprint, request.created_at
        try:
            return await Sends(engines.db).stored_response(tenant, key, fingerprint, now) or prepared.error
        except BellcastError as refusal:
            return refusal
    return await _announce(engines, prepared) if isinstance(prepared, AnnounceRequest) else prepared


async def _announce(engines: Engines, request: AnnounceRequest) -> bytes | BellcastError:
    created = {"id": request.id, "recipient": None, "topic": request.topic}
    change = {**created, **msgspec.to_builtins(request.content)}
    try:
        events = await engines.webhooks.events(request.tenant, "notification.created", [change])
        request = msgspec.structs.replace(request, events=events)
        sent = await Sends(engines.db).announce(request)
    except BellcastError as refusal:
        _give_back(engines, request)
        return refusal
    # Another response is the stored one of an earlier send with this key, so nothing was written.
    is_written = sent.response == request.response
    if is_written:
        _emit(engines, request)
    else:
        _give_back(engines, request)
    await engines.broker.publish(*sent.events)
    if is_written:
        engines.router.committed([request])
    return sent.response


async def commit(
    engines: Engines, requests: Sequence[R], add: Callable[[Sequence[R]], AsyncIterator[list[SendResult | Exception]]]
) -> list[SendResult | BellcastError]:
    """Commit requests in order, and publish the events of each as soon as it is committed. Return results and refusals. Imports
    are neither charged, reported nor delivered."""
    results: list[SendResult | Exception] = []
    try:
        async for committed in add(requests):
            results += committed
            events = [event for one in committed if isinstance(one, SendResult) for event in one.events]
            if len(requests) == 1:
                await engines.broker.publish(*events)
            else:
                async for some in engines.pace.slices(events):
                    await engines.broker.publish(*some)
    except Unavailable as failure:  # the store is being closed; what is committed keeps its results
        results += [failure] * (len(requests) - len(results))
    written: list[SendRequest] = []
    for request, result in zip(requests, results, strict=True):
        if not isinstance(request, SendRequest):
            continue
        # Another response is the stored one of an earlier send with this key, so nothing was written.
        if isinstance(result, SendResult) and result.response == request.response:
            written.append(request)
        else:
            engines.quotas.give_back(request.tenant, request.charge)
    # One event per send. Without a watcher, events that the feed would not keep are only counted.
    counted = 0 if engines.feed.is_watched else max(0, len(written) - KEPT_EVENTS)
    if counted:
        for tenant, number in Counter([request.tenant for request in written[:counted]]).items():
            engines.feed.count("send", tenant, number)
    for sent in written[counted:]:
        _emit(engines, sent)
    engines.router.committed(written)
    ended: list[SendResult | BellcastError] = []
    for result in results:
        if not isinstance(result, SendResult | BellcastError):
            raise result
        ended.append(result)
    return ended


def response_of(result: SendResult | BellcastError) -> bytes | BellcastError:
    """Return the response of a committed send, or its refusal."""
    return result.response if isinstance(result, SendResult) else result


def _emit(engines: Engines, request: SendOrAnnounce) -> None:
    """Emit one event per send, with its first recipient. Only watchers see its body and its data."""
    topic: str | None = None
    recipient: str | None = None
    id: str | None = None
    count: int | None = 0
    if isinstance(request, AnnounceRequest):
        id, topic, count = request.id, request.topic, None
    elif request.ids:
        recipient, id, count = request.recipients[0], request.ids[0], len(request.ids)
    elif request.decisions:
        # A send without the inbox channel has only decisions. If preferences stop it, it may have neither.
        ids = {decision.recipient: decision.notification for decision in request.decisions}
        (recipient, id), count = next(iter(ids.items())), len(ids)
    content = request.content
    fields: dict[str, object] = {"type": content.type, "id": id, "title": content.title}
    if count is None:
        audience = topic or "everyone"
    else:
        audience = f"{recipient} and {count - 1} others" if count > 1 else recipient or "no recipient"
        fields["recipients"] = count
    if engines.feed.is_watched:
        fields["body"], fields["data"] = content.body, content.data
    event = FeedEvent(
        kind="send",
        at=request.created_at,
        text=f"{content.type} to {audience}",
        tenant=request.tenant,
        recipient=recipient,
        topic=topic,
        trace=CURRENT_ID.get(),
        fields=fields,
    )
    engines.feed.emit(event)


def _prepare(
    engines: Engines,
    limits: Limits,
    draft: Draft | BellcastError,
    now: int,
    moment: datetime,
    own_key: str | None = None,
    over: dict[str, TooMany | Conflict] | None = None,
) -> Prepared:
    """Prepare a draft. `over` has the refusals of tenants that exceeded their quotas with an earlier draft of the same
    request."""
    if isinstance(draft, BellcastError):
        return draft
    expired: Invalid | None = None
    if errors := notification_types.draft_errors(draft, limits, moment):
        expired = Invalid.fields([*errors, *engines.scheduler.time_errors(draft)])
        if notification_types.draft_errors(draft, limits, times.EPOCH):
            return expired
    if own_key is not None:
        draft = msgspec.structs.replace(draft, idempotency_key=own_key)
    # The times of an otherwise valid draft are checked last: it may repeat an earlier send, whose times have passed.
    if is_later(draft):
        return draft
    to = draft.to
    request = (
        _announce_request(engines, draft, to, now)
        if isinstance(to, Audience)
        else _send_request(engines, draft, to, now)
    )
    if expired is not None:
        return RefusedSend(request, expired)
    tenant, charge = _charge_of(request)
    over = {} if over is None else over
    try:
        if tenant not in over:
            engines.quotas.take(tenant, charge)
    except (TooMany, Conflict) as refusal:
        over[tenant] = refusal
    return RefusedSend(request, over[tenant]) if tenant in over else request


def _charge_of(request: SendOrAnnounce) -> tuple[str, int]:
    """Return the tenant and its number of sends: one per recipient, one for an announcement."""
    if isinstance(request, SendRequest):
        return request.tenant, request.charge
    return request.key_tenant, 1


def _give_back(engines: Engines, request: SendOrAnnounce) -> None:
    """Refund a request that was refused, or that repeats an earlier one."""
    engines.quotas.give_back(*_charge_of(request))


def _send_request(engines: Engines, draft: Draft, to: str | list[str], now: int) -> SendRequest:
    # Repeated keys count once; the order stays.
    recipients = (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))
    ids = tuple([engines.new_id(now) for _ in recipients])
    return SendRequest(
        tenant=draft.tenant or DEFAULT_TENANT,
        recipients=recipients,
        ids=ids,
        content=content(draft),
        created_at=now,
        charge=len(recipients),
        idempotency_key=draft.idempotency_key,
        fingerprint=idempotency.fingerprint(draft, draft.idempotency_key),
        response=_encode(Sent(notifications=list(map(CreatedNotification, ids, recipients)))),
    )


def _announce_request(engines: Engines, draft: Draft, to: Audience, now: int) -> AnnounceRequest:
    id = engines.new_id(now)
    return AnnounceRequest(
        id=id,
        tenant=to.tenant or draft.tenant or DEFAULT_TENANT,
        topic=role_topic(to.role) if to.role is not None else to.topic,
        content=content(draft),
        created_at=now,
        key_tenant=draft.tenant or to.tenant or DEFAULT_TENANT,
        idempotency_key=draft.idempotency_key,
        fingerprint=idempotency.fingerprint(draft, draft.idempotency_key),
        response=_encode(Sent(announcement=AnnouncementMade(id))),
    )


class SendFanout(Struct, eq=False):
    """Executes the jobs of announcements with channels outside the inbox."""

    db: Engine
    clock: Clock
    router: Router
    pace: Scheduler

    async def run(self, job: Job) -> int | None:
        """Add the messages of the next pages. Return when the rest is due, or None. Each page is committed together
        with the new position, so nothing is sent twice."""
        return await audiences.run(self.db, self.clock, job, self._pages)

    async def _pages(self, fanout: Fanout) -> AsyncGenerator[PageCommit]:
        """Prepare pages for the next recipients; the last one of a fan-out only ends it."""
        draft = msgspec.json.decode(fanout.body, type=Draft)
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        position = fanout.position

        async def add(request: SendRequest, after: str, position: str) -> bool:
            is_added = await Sends(self.db).add_page(request, fanout.id, after, position)
            if is_added:
                self.router.committed([request])
            return is_added

        for _ in range(READS_PER_LEASE):
            keys = await audiences.page(self.db, fanout.tenant, audience, position, fanout.created_at, fanout.seq)
            if not keys or (draft.expires_at is not None and times.milliseconds(draft.expires_at) <= self.clock.now()):
                yield partial(Sends(self.db).end_fanout, fanout.tenant, fanout.id)
                return
            for some in audiences.cut(keys, self.pace.contention):
                after, position = position, some[-1]
                request = await self.router.route_page(draft, fanout.tenant, fanout.id, some, self.pace)
                yield partial(add, request, after, position)


# --- what was sent


async def find_outside(engines: Engines, tenant: str, id: str) -> SentItem:
    """Return a send with this id to channels other than the inbox. Raises NotFound."""
    db = engines.db
    fanout = await Fanouts(db).get(id) if ids.is_id(id) else None
    if fanout is not None and fanout.tenant == tenant and not fanout.workflow:
        draft = msgspec.json.decode(fanout.body, type=Draft)
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        shown = outside_notification((id, draft.type, content(draft).title, fanout.created_at))
        return SentItem(
            notification=shown, tenant=tenant, recipient=None, announcement=True, has_row=False, topic=audience.topic
        )
    decisions = await Messages(db).decisions(tenant, id, None, 1) if ids.is_id(id) else []
    first = existing(decisions[0] if decisions else None)
    found = (await Messages(db).page(ListQuery(tenants=[tenant], filters={"notification": id}, limit=1))).items
    title = title_of(found[0].content) if found else ""
    shown = outside_notification((id, found[0].type if found else GENERAL, title, first.decided_at))
    return SentItem(notification=shown, tenant=tenant, recipient=first.recipient, has_row=False)


async def edit(engines: Engines, limits: Limits, tenant: str, id: str, edit: Edit) -> SentItem:
    """Edit an item in all inboxes. Raises NotFound."""
    now = engines.clock.now()
    notification_types.check_edit(edit, limits, times.to_rfc3339(now))
    found, events = existing(await SentItems(engines.db).edit(tenant, id, edit, now) if ids.is_id(id) else None)
    await engines.broker.publish(*events)
    return found


async def recall(engines: Engines, tenant: str, id: str) -> None:
    """Remove an item from all inboxes. Raises NotFound."""
    report = await engines.webhooks.report(tenant, ["message.cancelled"])
    recalled = await SentItems(engines.db).recall(tenant, id, engines.clock.now(), report) if ids.is_id(id) else None
    await engines.broker.publish(*existing(recalled))
