"""Import notifications of another system: rows with their original times. An import causes no message, toast or
webhook."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bellcast.engines import Engines
from bellcast.inbox import sending
from bellcast.inbox import types as notification_types
from bellcast.inbox.store import idempotency
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.types import CreatedNotification, ImportedDraft, Sent, content
from bellcast.inbox.types.sends import ImportRequest, SendResult
from bellcast.kernel import ids, times
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.limits import Limits


class BulkImport(Struct, eq=False):
    """Commits notifications in order, each accepted or refused separately. Imports do not count towards quotas.

    Once the store is unavailable, the following notifications are refused too, as by `sending.BulkSend`."""

    engines: Engines
    limits: Limits
    _failure: BellcastError | None = None
    existing: int = 0  # items that an earlier import added
    _now: int = 0  # the time of all parts, so that those after the erasure of a tenant are refused for it

    async def send(self, drafts: Sequence[ImportedDraft | BellcastError]) -> list[bytes | BellcastError]:
        """Commit the next notifications; return responses and refusals in the same order."""
        self._now = self._now or self.engines.clock.now()  # not earlier: the body may arrive slowly
        prepared = await prepare(self.engines, self.limits, drafts, self._now)
        requests = [one for one in prepared if isinstance(one, ImportRequest)]
        results: list[bytes | BellcastError]
        if self._failure is None:
            committed = await sending.commit(self.engines, requests, Sends(self.engines.db).add_imported)
            self.existing += sum(isinstance(one, SendResult) and not one.events for one in committed)
            results = [sending.response_of(one) for one in committed]
            self._failure = sending.outage(results)
        else:
            results = [self._failure] * len(requests)
        following = iter(results)
        return [next(following) if isinstance(one, ImportRequest) else one for one in prepared]


async def prepare(
    engines: Engines, limits: Limits, drafts: Sequence[ImportedDraft | BellcastError], now: int
) -> list[ImportRequest | BellcastError]:
    """Return a request for each draft, or its refusal. Earlier imports are not considered."""
    prepared: list[ImportRequest | BellcastError] = []
    async for draft in engines.pace.each(drafts):
        prepared.append(_request(engines, limits, draft, now))
    return prepared


def _request(
    engines: Engines, limits: Limits, draft: ImportedDraft | BellcastError, now: int
) -> ImportRequest | BellcastError:
    if isinstance(draft, BellcastError):
        return draft
    try:
        notification_types.check_import(draft, limits, times.to_rfc3339(now))
    except BellcastError as refusal:
        return refusal
    names = [draft.to] if isinstance(draft.to, str) else draft.to if isinstance(draft.to, list) else []
    recipients = tuple(dict.fromkeys(names))
    sent_at = now if draft.created_at is None else times.milliseconds(draft.created_at)
    # The ids have the time of the notification. With an idempotency key they are deterministic, so that a repeated import finds
    # the rows even after the key has expired.
    new_ids: list[str] = []
    for key in recipients:
        if draft.idempotency_key is None:
            new_ids.append(ids.place(engines.new_id(now), sent_at))
        else:
            name = SEPARATOR.join((draft.tenant or DEFAULT_TENANT, key, draft.idempotency_key))
            new_ids.append(ids.derived(sent_at, hashlib.sha256(name.encode()).digest()))
    notifications = list(map(CreatedNotification, new_ids, recipients))
    seen_at = draft.read_at if draft.seen_at is None else draft.seen_at
    return ImportRequest(
        tenant=draft.tenant or DEFAULT_TENANT,
        recipients=recipients,
        ids=tuple(new_ids),
        content=content(draft),
        created_at=now,
        sent_at=sent_at,
        seen_at=None if seen_at is None else times.milliseconds(seen_at),
        read_at=None if draft.read_at is None else times.milliseconds(draft.read_at),
        archived_at=None if draft.archived_at is None else times.milliseconds(draft.archived_at),
        idempotency_key=draft.idempotency_key,
        fingerprint=idempotency.fingerprint(draft, draft.idempotency_key, b"import"),
        response=msgspec.json.encode(Sent(notifications=notifications)),
    )
