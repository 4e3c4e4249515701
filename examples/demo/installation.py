"""What an operator of the server of `bellcast demo --busy` has set up: types, preference defaults, a mail server, sources, webhooks,
schedules and suppressed addresses."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bellcast.client import Bellcast

from .requests import send
from .servers import DemoServers

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


def set_up(client: Bellcast, servers: DemoServers, *, tenant: str, troubled: str) -> None:
    """Write everything through the API of a running server. E-mails of `tenant` go to the demo's mail server, and its
    webhook works; that of `troubled` fails."""
    client.providers.put(f"mail-{tenant}", {"channel": "email", "url": servers.mail_url}, tenant=tenant)
    for key, type in TYPES.items():
        client.types.put(key, type)
    send(client, "PUT", "/v1/preference-defaults", PREFERENCE_DEFAULTS)
    for key, source in SOURCES.items():
        client.sources.put(key, source)
    for issued in KEYS:
        send(client, "POST", "/v1/keys", issued)
    for channel, address, reason in SUPPRESSED:
        client.suppressions.put(channel, address, reason=reason, tenant=tenant)
    start = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=SEASON_IN_DAYS)
    opening = {"to": {"tenant": tenant}, "title": "The winter season begins", "type": "news"}
    for key, schedule in (SCHEDULES | {"winter-season": {"at": start.isoformat(), "notification": opening}}).items():
        client.schedules.put(key, schedule, tenant=tenant)
    client.webhooks.create(f"{servers.hooks_url}/crm", ["message.failed", "message.bounced"], tenant=tenant)
    client.webhooks.create(f"{servers.hooks_url}/warehouse", ["run.failed"], tenant=troubled)
