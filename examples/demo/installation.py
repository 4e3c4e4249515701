"""What an operator of the server of `bellcast demo --busy` has set up: types, preference defaults, a mail server, sources, webhooks,
schedules and suppressed addresses."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from bellcast.client import Bellcast

from .requests import send
from .servers import ServerUrls

Step: TypeAlias = Callable[[], object]
Issue: TypeAlias = Callable[[dict[str, Any]], object]

TYPES: dict[str, dict[str, Any]] = {
    "booking.created": {"name": "New bookings", "channels": ["inbox", "email", "push"], "required": ["inbox"]},
    "booking.moved": {"name": "Moved bookings", "channels": ["inbox", "email", "sms"], "required": ["inbox"]},
    "booking.reminder": {"name": "Reminders", "channels": ["inbox", "email", "sms", "push"]},
    "invoice.paid": {"name": "Payments", "channels": ["inbox", "email"]},
    "invoice.overdue": {"name": "Overdue invoices", "channels": ["inbox", "email"], "required": True},
    "comment": {"name": "Comments", "channels": ["inbox", "push", "chat"], "defaults": {"push": False}},
    "review": {"name": "Reviews", "channels": ["inbox", "email"], "defaults": {"email": False}},
    "news": {"name": "News", "channels": ["inbox"]},
}
PREFERENCE_DEFAULTS: dict[str, Any] = {
    "types": {"booking.moved": {"sms": "urgent"}, "comment": {"chat": False}},
    "digest": {"review": "weekly"},
}
SOURCES: dict[str, dict[str, Any]] = {
    "payment-received": {
        "event": "payment.received",
        "topic": "private-account.{account}",
        "notification": {
            "to": "{{ topic.account }}",
            "type": "invoice.paid",
            "title": "Payment of {{ event.data.amount | money('EUR') }} received",
        },
    },
    "table-assigned": {
        "event": "table.assigned",
        "notification": {"to": "{{ event.data.waiter }}", "title": "Table {{ event.data.table }} is yours"},
    },
}
SUPPRESSED = (  # channel, address and reason
    ("email", "office@closed.example", "mailbox does not exist"),
    ("email", "kofi.adler@harbor.example", "marked as spam"),
    ("email", "lena.ito@harbor.example", "requested by phone"),
    ("sms", "+436601234567", "replied STOP"),
)
SCHEDULES: dict[str, dict[str, Any]] = {
    "weekly-plan": {
        "cron": "0 8 * * 1",
        "timezone": "Europe/Vienna",
        "notification": {"to": {"topic": "news"}, "title": "Plan of the week", "type": "news"},
    },
    "monthly-statement": {
        "cron": "0 6 1 * *",
        "timezone": "Europe/Vienna",
        "notification": {"to": {"role": "accounting"}, "title": "Your statement is ready", "type": "invoice.paid"},
    },
    "evening-summary": {
        "cron": "30 18 * * 1-5",
        "timezone": "recipient",
        "active": False,
        "notification": {"to": {"topic": "news"}, "title": "What happened today", "type": "news"},
    },
}
SEASON_IN_DAYS = 20
KEYS: tuple[dict[str, Any], ...] = (
    {"name": "booking service", "scopes": ["send"]},
    {"name": "monthly report", "scopes": ["read", "observe"], "tenants": ["harbor"], "ttl": "90d"},
    {"name": "support agent", "scopes": ["agent", "read", "observe"], "ttl": "30d"},
)


def set_up(client: Bellcast, servers: ServerUrls, *, tenant: str, troubled: str) -> None:
    """Write everything through the API of a running server. E-mails of both tenants go to the demo's mail server. The webhook
    of `tenant` works; that of `troubled` fails."""
    issue = partial(send, client, "POST", "/v1/keys")
    for step in steps(client, issue, servers, tenant=tenant, troubled=troubled):
        step()
    failing_webhook(client, servers, troubled)()


def steps(client: Bellcast, issue: Issue, servers: ServerUrls, *, tenant: str, troubled: str) -> list[Step]:
    """Return the requests that write everything but the failing webhook, in their order. `issue` creates a key, as only an owner may."""
    mail = {"channel": "email", "url": servers.mail_url}
    start = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=SEASON_IN_DAYS)
    opening = {"to": {"tenant": tenant}, "title": "The winter season begins", "type": "news"}
    schedules = SCHEDULES | {"winter-season": {"at": start.isoformat(), "notification": opening}}
    crm = f"{servers.hooks_url}/crm"
    return [
        *(partial(client.providers.put, f"mail-{one}", mail, tenant=one) for one in (tenant, troubled)),
        *(partial(client.types.put, key, type) for key, type in TYPES.items()),
        partial(send, client, "PUT", "/v1/preference-defaults", PREFERENCE_DEFAULTS),
        *(partial(issue, key) for key in KEYS),
        *(partial(client.sources.put, key, source) for key, source in SOURCES.items()),
        *(partial(client.schedules.put, key, schedule, tenant=tenant) for key, schedule in schedules.items()),
        partial(client.webhooks.create, crm, ["message.failed", "message.bounced"], tenant=tenant),
        *(
            partial(client.suppressions.put, channel, address, reason=reason, tenant=tenant)
            for channel, address, reason in SUPPRESSED
        ),
    ]


def failing_webhook(client: Bellcast, servers: ServerUrls, tenant: str) -> Step:
    """Return the request that creates a webhook of failed runs, which is down."""
    return partial(client.webhooks.create, f"{servers.hooks_url}/warehouse", ["run.failed"], tenant=tenant)
