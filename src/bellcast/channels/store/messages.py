"""Messages outside the inbox, and the decisions that led to them."""

import hashlib
from collections.abc import Sequence
from itertools import compress

import msgspec

from bellcast.channels.store import suppressions
from bellcast.channels.types import (
    MAX_OF_REFERENCE,
    OPEN_STATES,
    Attempt,
    MessageUpdate,
    NewDecision,
    NewMessage,
    RecordedAction,
    State,
    StoredMessage,
    as_change,
)
from bellcast.kernel.db import columns, lists
from bellcast.kernel.db.engine import StoreTable, on_table, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList, RecentCounts
from bellcast.kernel.db.script import STATEMENT_ROWS, ListCommand, LockKey, Params, Row, Script, Statement, chunks
from bellcast.kernel.jobs import NORMAL, URGENT, Job, in_line, new_job_params
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import EventReport, WebhookEvent

# The kind of the job that delivers a message; its id and payload are the message's id.
JOB_KIND = "message"
# Channels with one kind of addresses: their messages wait in its line from the beginning.
ONE_KIND_CHANNELS = ("email", "sms")
# The kind of the job that sends a digest. It has one job for each recipient and time; its payload has the tenant and the recipient.
DIGEST_JOB_KIND = "digest"

# Messages of a digest per read: most digests have fewer, and the largest messages have 1 MB.
DIGEST_READ_ROWS = 20

# Outcomes that providers report for an attempt, and the states that only their later receipts change.
PROVIDER_OUTCOMES: tuple[State, ...] = ("sent", "bounced")
SETTLED_STATES: tuple[State, ...] = (*PROVIDER_OUTCOMES, "delivered")

_attempts = msgspec.json.Decoder(tuple[Attempt, ...])

# From the columns of `messages`, with or without the state of the inbox item after them.
of_row = columns.reader(
    StoredMessage,
    "id tenant recipient notification run channel type priority address state reason unless due_at created_at expires_at "
    "provider reference content attempts rounds digest seen_at read_at",
    content=str.encode,
    attempts=lambda attempts: () if attempts == "[]" else _attempts.decode(attempts),
)
_decision = columns.reader(
    NewDecision, "recipient channel outcome rule source message due_at decided_at tenant notification"
)

LIST = KeysetList(
    "messages",
    ("id",),
    of_row,
    is_newest_first=True,
    leads=("notification", "run", "recipient", "state"),
    filters=("channel", "provider", "workflow"),
)


def _find(ids: Sequence[str]) -> Script[list[StoredMessage]]:
    """Return the existing ones of these messages, by id."""
    found = yield Statement("messages_find", {"ids": columns.to_json(ids)})
    return [of_row(row) for row in found]


def requeue(tenant: str, ids: Sequence[str], now: int) -> Script[list[str]]:
    """Queue failed and bounced messages again; return their ids."""
    return (yield from _deliver_again("messages_requeue", tenant, ids, now)) if ids else []


class Messages(StoreTable):
    """Messages are added with the send that causes them (`Sends.add`), or by `add`, each with a job that delivers it."""

    find = read(on_table(_find))

    page = pages(LIST)

    @read_in_background
    def recent(self, since: int, tenants: Sequence[str] | None) -> Script[tuple[RecentCounts, bool]]:
        """Count the messages of all tenants, or of these, since a time by provider."""
        return (yield from lists.recent_counts("messages_recent", since, tenants))

    @read
    def workflow_of(self, run: str) -> Script[str | None]:
        """Return the workflow of a run with messages; None if there is no run of this id."""
        found = yield Statement("workflow_of_run", {"run": run})
        return found[0][0] if found else None

    @write()
    def add(self, messages: Sequence[NewMessage]) -> Script[None]:
        """Add messages that belong to no send, with their jobs."""
        return (yield from add(messages, ()))

    @write()
    def begin(self, ids: Sequence[str], now: int) -> Script[list[StoredMessage]]:
        """Mark due and expired messages as sending, and return them. Excludes messages that have ended, were postponed,
        or wait for a digest."""
        rows_begun = yield Statement("messages_begin", {"ids": columns.to_json(ids), "now": now})
        begun = [of_row(row) for row in rows_begun]
        conditional = [message.id for message in begun if message.unless is not None]
        if not conditional:
            return begun
        found = {message.id: message for message in (yield from _find(conditional))}
        return [found.get(message.id, message) for message in begun]

    @read
    def digest_members(
        self, tenant: str, recipient: str, now: int, limit: int, max_bytes: int
    ) -> Script[list[StoredMessage]]:
        """Return the messages that wait for a digest of the recipient which is due, the oldest first: at most `limit`, up to
        the one that brings their contents to `max_bytes`."""
        params = {"tenant": tenant, "recipient": recipient, "now": now, "limit": limit}
        waiting = yield Statement("digest_members", params)
        members: list[StoredMessage] = []
        size = 0
        for some in chunks([id for (id,) in waiting], DIGEST_READ_ROWS):
            found = yield from _find(some)
            for message in sorted(found, key=lambda message: message.id):
                members.append(message)
                size += len(message.content)
                if size >= max_bytes:
                    return members
        return members

    @write()
    def add_digest(
        self, digest: NewMessage | None, ids: Sequence[str], others: Sequence[MessageUpdate], now: int
    ) -> Script[bool]:
        """Add a digest of these messages, with its job, and end or postpone the others, in one transaction. Return
        False, and change nothing, if one of the messages no longer waits for a digest."""
        expected = {*ids, *(update.message.id for update in others)}
        waiting = yield Statement("digest_lock", {"ids": columns.to_json(sorted(expected))})
        if {id for (id,) in waiting} != expected:
            return False
        if digest is not None:
            yield from add([digest], ())
            yield Statement("digest_join", {"ids": columns.to_json(ids), "digest": digest.id})
        if others:
            yield Statement("digest_decide", many=[update_params(update.message) for update in others])
            yield from _record(others, now)
        return True

    async def finish(self, updates: Sequence[MessageUpdate], now: int) -> list[MessageUpdate]:
        """Write outcomes, in one transaction. A message that another worker ended, or that was cancelled, during its
        attempt keeps its state unless the provider accepted or bounced it, and no provider did before. The messages of a
        digest take its state. Return the updates that were written."""
        batches = self._engine.write_items(FinishMessages([(update, now) for update in updates]))
        written: list[MessageUpdate] = []
        for update, result in zip(updates, [one async for results in batches for one in results], strict=True):
            if isinstance(result, Exception):
                raise result
            if result:
                written.append(update)
        return written

    @read
    def of_reference(self, provider: str, reference: str, tenant: str) -> Script[list[StoredMessage]]:
        """Return the messages that have this reference at providers with this key: those of a tenant or, for the
        default tenant, at most MAX_OF_REFERENCE of all tenants."""
        params = {"provider": provider, "reference": reference, "tenant": tenant, "limit": MAX_OF_REFERENCE}
        found = yield Statement("messages_of_reference", params)
        return (yield from _find([id for (id,) in found])) if found else []

    @write()
    def settle(self, id: str, state: State, reason: str | None, report: EventReport, now: int) -> Script[bool]:
        """Write a receipt's state with its events; return whether the message was `sent` before."""
        params = {"id": id, "state": state, "reason": reason}
        settled = [of_row(row) for row in (yield Statement("message_settle", params))]
        yield from webhook_events.add(_state_events(settled, report), now)
        yield from _wake_runs(settled)
        return bool(settled)

    @read_in_background
    def tenants_of(self, channel: str, provider: str, address: str) -> Script[list[str]]:
        """Return the tenants whose provider with this key has sent to an address."""
        params = {"channel": channel, "provider": provider, "address": address}
        found = yield Statement("tenants_of_address", params, heavy=True)
        return [tenant for (tenant,) in found]

    retry = write()(on_table(requeue))

    @write()
    def release(self, tenant: str, id: str, now: int) -> Script[bool]:
        """Queue a simulated message; return False if it is not simulated."""
        return bool((yield from _deliver_again("messages_release", tenant, [id], now)))

    @read
    def decisions(self, tenant: str, notification: str, recipient: str | None, limit: int) -> Script[list[NewDecision]]:
        """Return the decisions for a notification, ordered by recipient and time."""
        params = {"tenant": tenant, "notification": notification, "recipient": recipient, "limit": limit}
        found = yield Statement("decisions_of", params)
        return [_decision((*row, tenant, notification)) for row in found]

    @read
    def actions(
        self, tenant: str, notification: str, recipient: str | None, limit: int
    ) -> Script[list[RecordedAction]]:
        """Return the snoozes and the recall of a notification, ordered by time, for one recipient or all (None). The
        recall of an announcement has the recipient EVERY_RECIPIENT, and is returned for each recipient."""
        params = {"tenant": tenant, "notification": notification, "recipient": recipient, "limit": limit}
        found = yield Statement("actions_of", params)
        return [RecordedAction(what=what, at=at, until=until) for what, at, until in found]


class FinishMessages(ListCommand[tuple[MessageUpdate, int], bool]):
    """Write the outcomes of attempts, each with the time of its commit. Deliveries that end during a commit share the
    next one. The results state which outcomes counted."""

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset()

    def rows_of(self, item: tuple[MessageUpdate, int]) -> int:
        return 1

    def script(self) -> Script[list[bool]]:
        outcomes, now = [update for update, _ in self.items], self.items[0][1]
        ids = sorted({update.message.id for update in outcomes})
        states: dict[str, State] = dict((yield Statement("messages_lock", {"ids": columns.to_json(ids)})))
        counts, last = [False] * len(outcomes), dict[str, int]()
        for number, (id, state) in enumerate((one.message.id, one.message.state) for one in outcomes):
            if _may_become(states.get(id), state):
                # Of two outcomes of one message, a lost lease's and the next one's, the statement writes one.
                counts[last.get(id, number)], counts[number] = False, True
                states[id], last[id] = state, number
        updates = list(compress(outcomes, counts))
        if not updates:
            return counts
        yield Statement("message_update", many=[update_params(update.message) for update in updates])
        for update in updates:
            if update.message.digest == update.message.id:
                # Set the state of a digest's messages to the digest's state.
                members = [of_row(row) for row in (yield Statement("digest_update", update_params(update.message)))]
                yield from _wake_runs(members)
                params = {"ids": columns.to_json([update.message.id]), "tenant": update.message.tenant}
                if update.message.state == "queued" and (yield Statement("digests_outdated", params)):
                    members += yield from _withdraw_digest(update.message.id, now)
                yield from webhook_events.add(_state_events(members, update.report), now)
        suppressed = [suppressions.of_update(update, now) for update in updates if update.suppress is not None]
        if suppressed:
            yield Statement("suppression_insert", many=suppressed)
        yield from _record(updates, now)
        return counts


def add(messages: Sequence[NewMessage], decisions: Sequence[NewDecision]) -> Script[None]:
    """Add messages with the jobs that deliver them, in the transaction of the send."""
    for some in chunks(messages, STATEMENT_ROWS):
        yield Statement("message_insert", many=[new_message_params(message) for message in some])
        # One job per waiting message, for the time when it is due or expires, and one for all messages of a digest.
        jobs: dict[str, Params] = {}
        for message in some:
            if message.state not in OPEN_STATES:
                continue
            expires_at = message.expires_at or message.due_at
            if message.waits_for_digest:
                job = _digest_job(message)
                jobs[str(job["id"])] = job
            if not message.waits_for_digest or expires_at < message.due_at:
                run_at = min(message.due_at, expires_at)
                kind = in_line(JOB_KIND, message.channel) if message.channel in ONE_KIND_CHANNELS else JOB_KIND
                jobs[message.id] = _delivery(
                    message.id, message.tenant, message.priority, run_at, message.created_at, kind
                )
        if jobs:
            yield Statement("job_add", many=list(jobs.values()))
    for decided in chunks(decisions, STATEMENT_ROWS):
        yield Statement("decision_insert", many=[msgspec.structs.asdict(decision) for decision in decided])


def cancel(tenant: str, notification: str, report: EventReport, now: int) -> Script[None]:
    """Cancel the messages of a recalled notification that were not attempted yet, and further attempts of those that are being sent."""
    params = {"tenant": tenant, "notification": notification, "reason": "recalled"}
    cancelled = yield Statement("messages_cancel", params)
    yield from withdraw(cancelled, report, now)


def record_recall(tenant: str, notification: str, now: int) -> Script[bool]:
    """Record that a notification was recalled. Return False if that is known, or nothing was decided about it."""
    return bool((yield Statement("recall_record", {"tenant": tenant, "id": notification, "now": now})))


def record_snoozes(inbox: int, notifications: Sequence[str], until: int | None, now: int, limit: int) -> Script[None]:
    """Record that a recipient snoozed notifications, at most `limit` times each."""
    snooze = {"inbox": inbox, "until": until, "now": now, "limit": limit}
    yield Statement("snooze_record", many=[{**snooze, "id": id} for id in notifications])


def withdraw(cancelled: Sequence[Row], report: EventReport, now: int) -> Script[None]:
    """Report cancelled messages, and withdraw the digests that would show their content at another attempt. The other
    messages of these digests wait for a new digest. Simulated messages are not cancelled."""
    found = [message for message in map(of_row, cancelled) if message.state == "cancelled"]
    for digest in sorted({message.digest for message in found if message.digest is not None}):
        found += yield from _withdraw_digest(digest, now)
    yield from webhook_events.add(_state_events(found, report), now)


def _withdraw_digest(id: str, now: int) -> Script[list[StoredMessage]]:
    """Cancel a digest that waits for another attempt, and return it."""
    withdrawn = [of_row(row) for row in (yield Statement("digest_withdraw", {"digest": id}))]
    if withdrawn:
        yield from _leave_digests([id], now)
    return withdrawn


def _leave_digests(ids: Sequence[str], now: int) -> Script[bool]:
    """Let the messages of these digests, without those that were recalled, wait for others. Return whether there are any."""
    waiting = yield Statement("digests_leave", {"ids": columns.to_json(ids), "now": now})
    jobs = {str(job["id"]): job for job in (_digest_job(of_row(row)) for row in waiting)}
    yield Statement("job_add", many=list(jobs.values()))
    return bool(waiting)


def new_message_params(message: NewMessage) -> dict[str, object]:
    return {**msgspec.structs.asdict(message), "content": message.content.decode()}


def _digest_job(message: NewMessage) -> Params:
    name = msgspec.json.encode((message.tenant, message.recipient, message.due_at))
    job = Job(
        id=f"{DIGEST_JOB_KIND} {hashlib.blake2b(name, digest_size=16).hexdigest()}",
        kind=DIGEST_JOB_KIND,
        payload=msgspec.json.encode((message.tenant, message.recipient)),
        run_at=message.due_at,
        created_at=message.created_at,
        tenant=message.tenant,
    )
    return new_job_params(job)


def _delivery(id: str, tenant: str, priority: str, run_at: int, now: int, kind: str = JOB_KIND) -> Params:
    """Return the parameters of the job that delivers a message."""
    return new_job_params(
        Job(
            id=id,
            kind=kind,
            payload=id.encode(),
            run_at=run_at,
            created_at=now,
            tenant=tenant,
            priority=URGENT if priority == "urgent" else NORMAL,
        )
    )


def _state_events(messages: Sequence[StoredMessage], report: EventReport) -> list[WebhookEvent]:
    return [event for message in messages for event in report(f"message.{message.state}", as_change(message))]


def _record(updates: Sequence[MessageUpdate], now: int) -> Script[None]:
    """Wake the runs of updates, and store their decisions, the jobs of digests for which messages now wait, and the events."""
    yield from _wake_runs([update.message for update in updates])
    decisions = [msgspec.structs.asdict(update.decision) for update in updates if update.decision is not None]
    if decisions:
        yield Statement("decision_insert", many=decisions)
    waiting = {str(job["id"]): job for job in (_digest_job(u.message) for u in updates if u.message.waits_for_digest)}
    if waiting:
        yield Statement("job_add", many=list(waiting.values()))
    yield from webhook_events.add(
        [one for update in updates for one in _state_events([update.message], update.report)], now
    )


def _may_become(state: State | None, outcome: State) -> bool:
    """Return whether an outcome still counts. After the lease of a job was lost, another worker may have ended the
    message; then only the outcomes of providers count, unless another one came first."""
    if outcome in PROVIDER_OUTCOMES:
        return state is not None and state not in SETTLED_STATES
    return state == "sending"


def _wake_runs(messages: Sequence[StoredMessage]) -> Script[None]:
    ended = {message.run for message in messages if message.run is not None and message.state not in OPEN_STATES}
    yield from wake(list(ended))


# The columns that the outcome of an attempt, or a decision, changes.
UPDATED = ("id", "address", "state", "reason", "due_at", "provider", "reference", "rounds")


def update_params(message: StoredMessage) -> dict[str, object]:
    return {name: getattr(message, name) for name in UPDATED} | {"attempts": columns.to_json(message.attempts)}


def _deliver_again(statement: str, tenant: str, ids: Sequence[str], now: int) -> Script[list[str]]:
    """Queue messages again with a statement; return their ids. In place of a digest that shows what was recalled since, its
    other messages wait for a new one."""
    outdated = [id for (id,) in (yield Statement("digests_outdated", {"ids": columns.to_json(ids), "tenant": tenant}))]
    left = outdated if outdated and (yield from _leave_digests(outdated, now)) else []
    params = {"ids": columns.to_json([id for id in ids if id not in outdated]), "tenant": tenant, "now": now}
    requeued = yield Statement(statement, params)
    retried = [id for id, _ in requeued]
    if retried:
        yield Statement("digests_requeue", {"ids": columns.to_json(retried)})
        yield Statement("job_add", many=[_delivery(id, tenant, priority, now, now) for id, priority in requeued])
    return [*left, *retried]


def wake(runs: Sequence[str]) -> Script[None]:
    """Record an event for each of these runs, and make waiting ones due."""
    if not runs:
        return
    for id, state in (yield Statement("runs_wake", {"ids": columns.to_json(runs)})):
        if state == "waiting":
            yield Statement("run_job_wake", {"run": id})
