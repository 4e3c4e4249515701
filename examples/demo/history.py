"""History for `bellcast demo --busy`: 30 days of notifications with their messages and runs. They are written to the
database before the server starts, because creating millions by requests would take half an hour."""

import asyncio
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import cos, log1p, pi, sin, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bellcast.channels.store import messages
from bellcast.channels.types import Attempt, AttemptOutcome, NewDecision, State, StoredMessage
from bellcast.console import store as stored_stats
from bellcast.console import types as stats
from bellcast.console.types import StatsPoint
from bellcast.documents.store import put_version
from bellcast.documents.types import StoredVersion
from bellcast.inbox.store import rows
from bellcast.inbox.types import Draft, content
from bellcast.kernel import ids, times
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.db import columns
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.sqlite_connection import SqliteConnection, connect
from bellcast.kernel.times import DAY_MS, HOUR_MS, MINUTE_MS
from bellcast.preferences.types import Priority
from bellcast.recipients import store as recipients
from bellcast.workflows import definitions
from bellcast.workflows import store as runs_store
from bellcast.workflows.types import runs as run_states
from bellcast.workflows.types.runs import RunState, StepState, StoredRun

from . import activity, traffic

ShowProgress = Callable[[int, int], None]

CONTENTS: Sequence[tuple[str, str, str, Priority, str | None]] = (  # type, title, body, priority and tag
    ("booking.created", "New booking #{n}", "Saturday at 14:00, two people.", "normal", "booking"),
    ("booking.moved", "Booking #{n} was moved", "The new time is Monday at 09:30.", "high", "booking"),
    ("invoice.paid", "Invoice {n} was paid", "The amount arrives in two days.", "normal", "billing"),
    ("invoice.overdue", "Invoice {n} is overdue", "Please pay it within five days.", "urgent", "billing"),
    ("comment", "New comment on request {n}", "“Could we meet an hour earlier?”", "low", None),
    ("review", "You have a new review", "Five stars for order {n}.", "normal", None),
)
PERIOD_MS = 30 * DAY_MS
ALL = ""  # tenants
# How much more there is at noon, and less at midnight.
WAVE = 0.6
# MiB of cache for the pages that an inbox's rows change.
CACHE = 256
# Average number of open connections.
CONNECTIONS = 180
# One of this many notifications also has a message, and one of this many belongs to a run; more of few notifications, so that
# there are FEWEST of each.
MESSAGE_EVERY, RUN_EVERY = 20, 50
FEWEST = 500
READ, SEEN, ARCHIVED = 0.8, 0.6, 0.1
FAILED_RUNS = 0.05
# Requests in each bucket of durations, per send: three in all.
DURATIONS = (1.0, 1.0, 0.5, 0.33, 0.15, 0.02)
# Refused requests, per send.
REFUSED = 0.01
RUN_REASONS = (
    "invalid: data.customer.city: is missing: email.text of the template uses it without default()",
    "HTTP status 422",
    "HTTP status 503",
)


class MessageOutcome(NamedTuple):
    """The outcome of a share of the messages."""

    share: float
    state: State
    attempt: AttemptOutcome
    code: str | None
    response: str


OUTCOMES = (
    MessageOutcome(0.94, "sent", "accepted", "250", "2.0.0 Ok: queued"),
    MessageOutcome(0.02, "bounced", "permanent", "550", "5.1.1 No such user here"),
    MessageOutcome(0.01, "bounced", "permanent", "552", "5.2.2 Mailbox full"),
    MessageOutcome(0.02, "failed", "temporary", "451", "4.7.1 Greylisted, try again later"),
    MessageOutcome(0.01, "failed", "temporary", None, "The TLS handshake failed."),
)


class PastInbox(NamedTuple):
    """A recipient and the number of its inbox."""

    tenant: str
    key: str
    number: int


def write(
    path: Path, notifications: int, progress: ShowProgress, recipients: int = activity.DEFAULT.recipients
) -> None:
    """Create a database with this number of notifications in the inboxes of the demo's tenants. `progress` gets the written
    and the total number."""
    raw = connect(path, cache=CACHE)
    connection = SqliteConnection(raw)
    try:
        migrations.migrate(raw)
        raw.execute("PRAGMA journal_mode = OFF")  # after a crash, the incomplete file is useless anyway
        raw.execute("PRAGMA synchronous = OFF")
        # The rows are written inbox by inbox, but this index is ordered by time: building it at the end takes a third
        # of the time.
        ((index,),) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'notifications_direct'")
        raw.execute("DROP INDEX notifications_direct")
        asyncio.run(_write(connection, notifications, progress, recipients))
        raw.execute(index)
    finally:
        connection.close()


async def _write(connection: SqliteConnection, notifications: int, progress: ShowProgress, recipients: int) -> None:
    past, written = _Past(SystemClock().now(), notifications), 0
    inboxes: list[PastInbox] = []
    connection.raw.execute("BEGIN")
    for tenant, keys in activity.keys_by_tenant(recipients).items():
        inboxes += await connection.run(_inboxes(tenant, keys, past.begin))
    for place, inbox in enumerate(inboxes):
        count = notifications // len(inboxes) + (place < notifications % len(inboxes))
        await connection.run(past.rows_of(inbox, count))
        written += count
        progress(written, notifications)
    await connection.run(past.numbers())
    connection.raw.execute("COMMIT")


def _inboxes(tenant: str, keys: Sequence[str], now: int) -> Script[list[PastInbox]]:
    yield from recipients.ensure_recipients(tenant, keys, now)
    # Lists of runs show their workflows.
    version = StoredVersion(0, definitions.encode(activity.WORKFLOW), now)
    yield from put_version("workflows", tenant, activity.WORKFLOW_KEY, version)
    found = yield Statement("inboxes_receiving", {"tenant": tenant, "keys": columns.to_json(keys)})
    return [PastInbox(tenant, key, number) for key, number, *_ in found]


class _PastRun(NamedTuple):
    """A run and its e-mail, which a failed run lacks."""

    run: StoredRun
    mail: StoredMessage | None


class _Past:
    """Creates rows. `begin` is the start of the period in UTC milliseconds."""

    def __init__(self, now: int, notifications: int) -> None:
        self.begin = now - PERIOD_MS
        self._now = now
        self._growth = _growth(notifications)
        self._message_every, self._run_every = (
            max(1, min(usual, notifications // FEWEST)) for usual in (MESSAGE_EVERY, RUN_EVERY)
        )
        self._new_id = ids.Ids().new
        self._random = random.Random(activity.SEED)
        self._contents = [_content_params(*content) for content in CONTENTS]
        # Of each minute, by tenant and for all tenants.
        self._counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)

    def rows_of(self, inbox: PastInbox, count: int) -> Script[None]:
        """Add notifications to an inbox, oldest first, with their messages and runs."""
        added = [self._notification(inbox, number, count) for number in range(1, count + 1)]
        yield Statement("notification_import", many=added)
        tags = [{"inbox": inbox.number, "id": row["id"], "tag": row["tag"]} for row in added if row["tag"] is not None]
        yield Statement("tag_row", many=sorted(tags, key=lambda one: (one["tag"], one["id"])))
        unread = sum(row["part"] == 0 for row in added)
        unseen = sum(row["seen_at"] is None and row["archived_at"] is None for row in added)
        head = {"inbox": inbox.number, "revision": count, "unread": unread, "unseen": unseen}
        yield Statement("inbox_write_state", many=[head])
        # Each inbox starts at a different offset, so that short inboxes are spread over the whole period.
        runs = {row["id"]: self._run(inbox, row) for row in added[inbox.number % self._run_every :: self._run_every]}
        yield Statement("run_insert", many=[runs_store.run_params(past.run) for past in runs.values()])
        sent = [past.mail for past in runs.values() if past.mail is not None] + [
            self._message(inbox, row)
            for row in added[inbox.number % self._message_every :: self._message_every]
            if row["id"] not in runs
        ]
        yield Statement(
            "message_insert", many=[messages.new_message_params(one) | {"state": "sending"} for one in sent]
        )
        yield Statement("message_update", many=[messages.update_params(one) for one in sent])
        decisions = [_decision(inbox, one.notification or "", one.created_at, one) for one in sent]
        decisions += [_decision(inbox, row, past.run.created_at) for row, past in runs.items()]
        yield Statement("decision_insert", many=[msgspec.structs.asdict(one) for one in decisions])

    def numbers(self) -> Script[None]:
        """Add the statistics of the rows for the charts."""
        for step, kept in stats.STORED_MS.items():
            first = max(self.begin, self._now - kept) // step * step
            counts = self._sums(step)
            points = [(at, self._point(at, step, 1, counts[at, ALL])) for at in range(first, self._now, step)]
            yield Statement("stats_write", many=[_numbers_of(step, at, columns.to_json(point)) for at, point in points])
        of_tenants = self._sums(HOUR_MS)
        hours = range(self.begin // HOUR_MS * HOUR_MS, self._now, HOUR_MS)
        bodies = [_numbers_of(HOUR_MS, at, self._tenants(at, of_tenants)) for at in hours]
        yield Statement("stats_write", many=bodies)

    def _point(self, at: int, step: int, share: float, counts: Counter[str]) -> StatsPoint:
        """Return the statistics of a tenant's share of an interval, of the last one until now. Connections are highest at noon, and
        lowest at midnight (UTC)."""
        wave = 1 - WAVE * cos(at / DAY_MS * 2 * pi) if step < DAY_MS else 1
        load = wave * self._random.uniform(0.85, 1.15) * min(step, self._now - at)
        sends = counts["sends"]
        return StatsPoint(
            connections=round(CONNECTIONS * load * share / stats.SAMPLE_MS),
            requests=3 * sends,
            refusals=counts["refusals"],
            failures=counts["failures"],
            sends=sends,
            runs=counts["runs"],
            publishes=sends // 2,
            deliveries=counts["deliveries"],
            queue_age=round(20 * wave * self._random.uniform(0.8, 1.6)),
            durations=tuple(self._number(sends * share) for share in DURATIONS),
        )

    def _count(self, name: str, at: int, inbox: PastInbox) -> None:
        for tenant in (ALL, inbox.tenant):
            self._counts[at // MINUTE_MS * MINUTE_MS, tenant][name] += 1

    def _sums(self, step: int) -> dict[tuple[int, str], Counter[str]]:
        """Return the counts of each interval of this length."""
        sums = defaultdict[tuple[int, str], Counter[str]](Counter)
        for (at, tenant), counts in self._counts.items():
            sums[at // step * step, tenant].update(counts)
        return sums

    def _number(self, expected: float) -> int:
        """Round up or down at random, so that rare events occur in short intervals too."""
        return int(expected + self._random.random())

    def _tenants(self, at: int, counts: Mapping[tuple[int, str], Counter[str]]) -> str:
        shares = {tenant: share / 100 for tenant, share in activity.SHARES.items()}
        points = {tenant: self._point(at, HOUR_MS, share, counts[at, tenant]) for tenant, share in shares.items()}
        return stored_stats.tenants_body(points)

    def _notification(self, inbox: PastInbox, number: int, count: int) -> dict[str, Any]:
        """Return the `number`-th of `count` notifications. They become more frequent until now, and most are read."""
        part = 1 - (number - self._random.random()) / count
        at = self._at(PERIOD_MS * ((1 + self._growth) ** part - 1) / self._growth)
        self._count("sends", at, inbox)
        if self._random.random() < REFUSED:
            self._count("refusals", at, inbox)
        columns, order = self._random.choice(self._contents), self._random.randrange(10_000)
        waited = int(self._random.expovariate(1 / (90 * MINUTE_MS)))
        seen_at = read_at = archived_at = None
        if at + waited < self._now:
            if self._random.random() < READ:
                seen_at = read_at = at + waited
                archived_at = read_at if self._random.random() < ARCHIVED else None
            elif self._random.random() < SEEN:
                seen_at = at + waited
        return {
            **columns,
            **{name: columns[name].format(n=order) for name in ("title", "body")},
            "created_at": at,
            "inbox": inbox.number,
            "id": ids.place(self._new_id(self._now), at),
            "revision": number,
            "seen_at": seen_at,
            "read_at": read_at,
            "archived_at": archived_at,
            "part": 2 if archived_at is not None else 1 if read_at is not None else 0,
        }

    def _at(self, age: float) -> int:
        """Return the time of a notification. Around noon, there are four times as many as at midnight (UTC)."""
        turns = [moment / DAY_MS * 2 * pi for moment in (self._now, self._now - age)]
        return self._now - int(age + WAVE * DAY_MS / 2 / pi * (sin(turns[0]) - sin(turns[1])))

    def _message(self, inbox: PastInbox, row: dict[str, Any], run: str | None = None) -> StoredMessage:
        """Return the e-mail of a notification, sent at most a minute later."""
        outcome = self._random.choices(OUTCOMES, _SHARES)[0]
        at = row["created_at"] + self._random.randrange(MINUTE_MS)
        provider = f"mail-{inbox.tenant}"
        attempt = Attempt(
            at=times.to_rfc3339(at),
            provider=provider,
            outcome=outcome.attempt,
            code=outcome.code,
            response=outcome.response,
        )
        self._count("deliveries" if outcome.state == "sent" else "failures", row["created_at"], inbox)
        reason = None if outcome.state == "sent" else " ".join(filter(None, (outcome.code, outcome.response)))
        return StoredMessage(
            id=ids.place(self._new_id(self._now), row["created_at"]),
            tenant=inbox.tenant,
            recipient=inbox.key,
            notification=row["id"],
            run=run,
            channel="email",
            type=row["type"],
            priority=row["priority"],
            address=f"{inbox.key}@{inbox.tenant}.example",
            state=outcome.state,
            reason=reason,
            due_at=row["created_at"],
            created_at=row["created_at"],
            content=msgspec.json.encode({"subject": row["title"], "text": row["body"]}),
            provider=provider,
            attempts=(attempt,),
            rounds=int(outcome.state == "failed"),
        )

    def _run(self, inbox: PastInbox, row: dict[str, Any]) -> _PastRun:
        """Return the run that sent a notification."""
        began, ended = row["created_at"], row["created_at"] + self._random.randrange(50, 5_000)
        reason = self._random.choice(RUN_REASONS) if self._random.random() < FAILED_RUNS else None
        self._count("runs", began, inbox)
        if reason is not None:
            self._count("failures", began, inbox)
        id = ids.place(self._new_id(self._now), began)
        mail = self._message(inbox, row, id) if reason is None else None
        sent = began + min(self._random.randrange(3, 30), (ended - began) // 4)
        bell, times_of = {"started_at": began, "ended_at": sent}, {"started_at": sent, "ended_at": ended}
        steps = {"bell": StepState(state="done", notification=row["id"], decided=row["id"], **bell)}
        if mail is None:
            steps["mail"] = StepState(state="failed", reason=reason, **times_of)
        else:
            steps["mail"] = StepState(state="done", messages=(mail.id,), decided=row["id"], **times_of)
            steps["wait"] = StepState(state="skipped", reason="condition", started_at=ended, ended_at=ended)
        state = RunState(data={"customer": {"name": activity.name_of(inbox.key)}, "reminds": False}, steps=steps)
        ended_state = state.ended("completed" if reason is None else "failed", reason)
        run = StoredRun(
            id=id,
            trigger=id,
            tenant=inbox.tenant,
            workflow=activity.WORKFLOW_KEY,
            owner=inbox.tenant,
            version=1,
            recipient=inbox.key,
            state=ended_state.status,
            reason=reason,
            created_at=began,
            ended_at=ended,
            body=run_states.encode(ended_state),
        )
        return _PastRun(run, mail)


def _growth(notifications: int) -> float:
    """Return how many times as frequent as 30 days ago, less one, notifications are now, if they end with the rate of the
    demo's traffic, which is divided by 1 + growth * t / PERIOD_MS at an age of t."""
    part = notifications / (traffic.rate(notifications) * PERIOD_MS / 1000)
    low, high = 1e-6, 1e9
    for _ in range(60):
        middle = sqrt(low * high)
        low, high = (middle, high) if log1p(middle) / middle > part else (low, middle)
    return low


def _content_params(type: str, title: str, body: str, priority: Priority, tag: str | None) -> dict[str, Any]:
    """Return the columns of a content, and its tag."""
    draft = Draft(to="", type=type, title=title, body=body, priority=priority, tags=[] if tag is None else [tag])
    return rows.content_params(content(draft), 0) | {"tag": tag}


def _numbers_of(step: int, at: int, body: str) -> dict[str, Any]:
    return {"step": step, "at": at, "node": "past", "body": body}


_SHARES = [outcome.share for outcome in OUTCOMES]


def _decision(inbox: PastInbox, notification: str, at: int, mail: StoredMessage | None = None) -> NewDecision:
    """Return the decision to send a notification by an e-mail, or to the inbox."""
    return NewDecision(
        tenant=inbox.tenant,
        notification=notification,
        recipient=inbox.key,
        channel="inbox" if mail is None else mail.channel,
        outcome="send",
        message=None if mail is None else mail.id,
        decided_at=at,
    )


if __name__ == "__main__":  # the benchmark of the console: folder of the database, number of notifications
    write(Path(sys.argv[1]), int(sys.argv[2]), lambda done, total: None)
