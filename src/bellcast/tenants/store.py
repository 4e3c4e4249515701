"""Tenants: created on first use, optionally with a name and settings."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery, ListTotal
from bellcast.kernel.db.script import ERASURE, TENANT_LOCK, Script, ScriptCommand, Statement, digest, fetch, first
from bellcast.kernel.events import Event
from bellcast.kernel.jobs import Job, new_job_params
from bellcast.recipients import store as recipients
from bellcast.recipients.store import Recipients
from bellcast.tenants.types import RULE_NAMES, Tenant, TenantRules

tenant = columns.reader(
    Tenant,
    "key name settings created_at erasing_since",
    key=lambda key: key or None,
    settings=columns.json_object,
    created_at=times.to_rfc3339,
    erasing_since=times.to_rfc3339_or_null,
)
# Tenants with their numbers of recipients, up to 10,000, by key; never the default tenant.
LIST = KeysetList("tenants", ("key",), lambda row: (tenant(row[:-1]), int(row[-1])))

# All that is stored about a tenant without recipients.
ERASE_STATEMENTS = (
    "erase_budgets",
    "erase_announcements",
    "erase_idempotency",
    "erase_last_events",
    "erase_documents",
    "erase_webhook_events_of_tenant",
    "erase_messages_of_tenant",
    "erase_suppressions",  # after the messages: an attempt that ends meanwhile may suppress the address of its message
    "erase_decisions_of_tenant",
    "erase_dead_jobs",
    "erase_runs_of_tenant",
    "erase_step_counters_of_tenant",
    "erase_event_waits_of_tenant",
    "erase_fanouts",
    "erase_versions",
    "erase_tenant",
)


class Tenants(StoreTable):
    """The records of tenants, and the numbers of their sends."""

    @read
    def get(self, key: str) -> Script[Tenant | None]:
        return first(Statement("tenant_find", {"tenant": key}), tenant)

    page = pages(LIST)

    @read_in_background
    def named_page(self, keys: Sequence[str], query: ListQuery) -> Script[ListPage[tuple[Tenant, int]]]:
        """Return those of some tenants that the query means, by key."""
        found: list[tuple[Tenant, int]] = []
        after = query.after[0] if query.after else ""
        for key in sorted(key for key in keys if key.startswith(query.prefix) and key > after):
            # For a complete key as prefix, the first match is the tenant with this key.
            of_key = replace(query, prefix=key, after=None, limit=1, is_counted=False)
            found += [one for one in (yield from LIST.page(of_key)).items if one[0].key == key]
        return ListPage(
            found[: query.limit],
            (found[query.limit - 1][0].key or "",) if len(found) > query.limit else None,
            total=ListTotal(min(len(found), query.limit + 1), exact=len(found) <= query.limit) if not after else None,
        )

    @write(locks=lambda key, *_, **__: [(key, TENANT_LOCK)])
    def put(
        self,
        key: str,
        name: str | None,
        settings: dict[str, Any],
        now: int,
        *,
        check: Callable[[Tenant | None], None] | None = None,
    ) -> Script[tuple[Tenant, bool]]:
        """Write a tenant's name and settings; return it, and whether it is new. `check` gets the tenant that is replaced; if
        it raises, nothing is written."""
        known = yield Statement("tenant_find", {"tenant": key})
        yield from recipients.ensure_tenant(key, now)
        if check is not None:
            check(tenant(known[0]) if known else None)
        text = columns.to_json(settings)
        params = {"tenant": key, "name": name, "settings": text, "ruled": int(_tenant_rules(text) != TenantRules())}
        written = yield Statement("tenant_write", params)
        return tenant(written[0]), not known

    @read
    def rules(self) -> Script[dict[str, TenantRules]]:
        """Return the rules of all tenants that have any."""
        found = yield Statement("tenant_settings")
        return {
            key: replace(_tenant_rules(settings), is_being_erased=erasing_since is not None)
            for key, settings, erasing_since in found
        }

    @write()
    def add_usage(self, day: int, sends: Mapping[str, int]) -> Script[dict[str, int]]:
        """Add sends of tenants on a day (days since 1970, UTC); return the new sums."""
        sums = {}
        for tenant in sorted(sends):  # nodes that write the same rows in one order cannot deadlock
            ((sums[tenant],),) = yield Statement("budget_spend", {"tenant": tenant, "day": day, "sends": sends[tenant]})
        yield Statement("budget_forget", {"day": day})
        return sums

    @read_in_background
    def usage(self, day: int) -> Script[dict[str, int]]:
        """Return the sends of tenants with a daily budget on a day (days since 1970, UTC)."""
        return dict((yield Statement("budgets_of_day", {"day": day})))

    @write(locks=lambda key, *_: [(key, TENANT_LOCK)])
    def begin_erasure(self, key: str, now: int, job: Job, check: Callable[[Tenant], None]) -> Script[Tenant | None]:
        """Mark a tenant as being erased, so that it gets no recipients and sends, and add the job that completes the
        erasure. Return the tenant; None if there is none with this key, and no object of one. `check` gets the stored tenant; if
        it raises, nothing is written."""
        for known in (yield Statement("tenant_find", {"tenant": key})):
            check(tenant(known))
        if (yield Statement("tenant_has_documents", {"tenant": key})):
            yield Statement("tenant_first_seen", {"tenant": key, "now": now})  # it got objects, and no recipient yet
        found = yield Statement("tenant_erase_begin", {"tenant": key, "now": now})
        if not found:
            return None
        yield Statement("job_add", many=[new_job_params(job)])
        return tenant(found[0])

    async def erase(self, key: str, sessions_before: int, now: int, limit: int) -> tuple[int, list[Event]]:
        """Erase at most `limit` recipients of a tenant; return their number and the events that close their connections.
        The step that finds no recipients erases the tenant."""
        table = Recipients(self._engine)
        found = await table.after(key, None, limit)
        if not found:  # other processes may have begun to add some before the tenant was marked
            waiting = Statement("tenant_await", {"tenant": key})
            await self._engine.write(ScriptCommand(lambda: fetch(waiting), (), is_exclusive=True))
            found = await table.after(key, None, limit)
        erased = await asyncio.gather(*(table.delete(key, one.key, sessions_before) for one in found))
        if not found:
            await self._erase_record(key, sessions_before, now)
            self._engine.clear_log()
        return len(found), [event for events in erased for event in events or ()]

    @write(locks=lambda key, *_: [(key, TENANT_LOCK)])
    def _erase_record(self, key: str, sessions_before: int, now: int) -> Script[None]:
        """Erase a tenant without recipients. Its digests remain, so that sessions issued before are refused, even for recipients
        that never existed, and requests that began before now."""
        for name in ERASE_STATEMENTS:
            yield Statement(name, {"tenant": key}, heavy=True)
        yield Statement("erased_keep", {"digest": recipients.tenant_digest(key), "before": sessions_before})
        yield Statement("erased_keep", {"digest": digest(key, ERASURE), "before": now})


def _tenant_rules(settings: str) -> TenantRules:
    """Return the rules in a tenant's stored settings; other names are the app's. Invalid values, stored before these names had
    a meaning, are ignored."""
    stored = msgspec.json.decode(settings)
    try:
        return msgspec.convert({name: stored.get(name) for name in RULE_NAMES}, TenantRules)
    except msgspec.ValidationError:
        return TenantRules()
