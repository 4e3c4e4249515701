"""The data of `bellcast demo --busy`, created through the API of a running server."""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.client import Bellcast
from bellcast.client.notifications import ImportedItem
from bellcast.client.responses import Priority
from bellcast.server.clock import SystemClock

# Notifications of one request: a small batch shows progress, and leaves the server's writer free for other sends.
BATCH = 2_000
# Recipients of one trigger.
TRIGGERED = 25
DAYS = 30
# The same data in each demo, apart from the times.
SEED = 7
TENANTS = {"aurora": "Aurora Studios", "harbor": "Harbor Rentals", "juniper": "Juniper Clinic"}
FIRST_NAMES = ("Alice", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Ivo", "Júlia", "Kofi", "Lena")
LAST_NAMES = ("Adler", "Bianchi", "Costa", "Demir", "Eriksen", "Fischer", "Grant", "Horváth", "Ito", "Jansen", "Kaya")
# The tenant of each sixth of the recipients.
_SHARES = (0, 0, 0, 1, 1, 2)
# Type, title, body, priority and tags.
CONTENTS: Sequence[tuple[str, str, str, Priority, list[str]]] = (
    ("booking.created", "New booking #{n}", "Saturday at 14:00, two people.", "normal", ["booking"]),
    ("booking.moved", "Booking #{n} was moved", "The new time is Monday at 09:30.", "high", ["booking"]),
    ("invoice.paid", "Invoice {n} was paid", "The amount arrives in two days.", "normal", ["billing"]),
    ("invoice.overdue", "Invoice {n} is overdue", "Please pay it within five days.", "urgent", ["billing", "reminder"]),
    ("comment", "New comment on request {n}", "“Could we meet an hour earlier?”", "low", []),
    ("review", "You have a new review", "Five stars for order {n}.", "normal", []),
)
WORKFLOW = {
    "type": "booking.created",
    "steps": [
        {"key": "bell", "type": "inbox", "title": "Booking of {{ data.customer.name }}"},
        {"key": "mail", "type": "email", "subject": "Your booking", "text": "{{ data.customer.name }}, see you soon."},
        {"key": "wait", "type": "delay", "for": "1h", "if": {"var": "data.reminds", "op": "eq", "value": True}},
    ],
}


class Amounts(Struct, frozen=True, kw_only=True):
    """Numbers of objects, for all tenants together."""

    recipients: int = 2_000
    notifications: int = 100_000
    messages: int = 600
    runs: int = 300
    # Runs whose data lacks a value that the workflow's text needs.
    failed_runs: int = 45
    announcements: int = 12


DEFAULT = Amounts()


def create(
    client: Bellcast,
    progress: Callable[[int, int], None],
    is_cancelled: Callable[[], bool],
    amounts: Amounts = DEFAULT,
    suffix: str = "",
) -> bool:
    """Create everything; False if it was cancelled before a request. `progress` gets the completed and the total number of
    objects, `suffix` ends the keys of the tenants."""
    total, done = sum(msgspec.structs.astuple(amounts)), 0
    progress(done, total)
    for created in _BusyData(client, amounts, suffix).requests():
        done += created
        progress(done, total)
        if is_cancelled():
            return False
    return True


def keys_of_first_tenant(amounts: Amounts = DEFAULT) -> list[str]:
    """Return some recipients of the largest tenant."""
    return [f"user-{number:04}" for number in range(0, amounts.recipients, len(_SHARES))]


class _BusyData:
    def __init__(self, client: Bellcast, amounts: Amounts, suffix: str) -> None:
        self._client = client
        self._amounts = amounts
        self._tenants = {f"{key}{suffix}": name for key, name in TENANTS.items()}
        self._random = random.Random(SEED)
        self._now = datetime.fromtimestamp(SystemClock().now() // 1000, UTC)

    def requests(self) -> Iterator[int]:
        """Make one request at a time; yield the number of objects that it created."""
        amounts = self._amounts
        keys = {tenant: list[str]() for tenant in self._tenants}
        for number in range(amounts.recipients):
            keys[self._tenant(number)].append(f"user-{number:04}")
        for tenant, named in keys.items():
            yield from self._set_up(tenant, named)
        for start in range(0, amounts.notifications, BATCH):
            numbers = range(start, min(start + BATCH, amounts.notifications))
            results = self._client.import_notifications(self._past(number, keys) for number in numbers)
            yield sum(result.error is None for result in results)
        for tenant, named in keys.items():
            yield from self._send(tenant, named)

    def _set_up(self, tenant: str, keys: Sequence[str]) -> Iterator[int]:
        self._request("PUT", f"/v1/tenants/{tenant}", {"name": self._tenants[tenant], "settings": {"plan": "team"}})
        self._client.recipients.bulk([self._recipient(tenant, key) for key in keys], tenant=tenant)
        for key in keys[: len(keys) // 10]:
            self._client.subscribe("news", key, tenant=tenant)
        self._client.workflows.put("booking", WORKFLOW, tenant=tenant)
        yield len(keys)

    def _send(self, tenant: str, keys: Sequence[str]) -> Iterator[int]:
        """What happens now: e-mails and text messages, announcements, runs, and runs that fail."""
        amounts, parts = self._amounts, len(self._tenants)
        for _ in range(amounts.announcements // parts):
            to: Any = self._random.choice([{"tenant": tenant}, {"topic": "news"}])
            self._client.notify(to, title="Maintenance on Sunday", type="news", tenant=tenant)
            yield 1
        chosen = self._random.choices(keys, k=amounts.messages // parts)
        self._client.bulk(
            {
                "to": key,
                "tenant": tenant,
                "title": f"Your booking #{number}",
                "body": "See you soon.",
                "channels": channels,
            }
            for number, key in enumerate(chosen)
            for channels in [self._random.choice([["inbox", "email"], ["inbox", "sms"]])]
        )
        yield len(chosen)
        for number, started in enumerate(_split(self._random.sample(keys, amounts.runs // parts))):
            # The runs of every second trigger wait.
            data = {"customer": {"name": self._name()}, "reminds": number % 2 == 0}
            self._client.trigger("booking", started, data, tenant=tenant)
            yield len(started)
        for started in _split(self._random.sample(keys, amounts.failed_runs // parts)):
            self._client.trigger("booking", started, {"reminds": False}, tenant=tenant)
            yield len(started)

    def _tenant(self, number: int) -> str:
        """The tenant of a recipient: the first has about half of them, the last a sixth."""
        return list(self._tenants)[_SHARES[number % len(_SHARES)]]

    def _recipient(self, tenant: str, key: str) -> dict[str, Any]:
        locale = self._random.choice(["en-GB", "de-DE", "it-IT", "tr-TR"])
        record: dict[str, Any] = {"key": key, "name": self._name(), "locale": locale}
        if self._random.random() < 0.9:  # the others have no address, so that their e-mails are skipped
            record |= {"email": f"{key}@{tenant}.example", "phone": f"+4366{self._random.randrange(10**7, 10**8)}"}
        return record

    def _name(self) -> str:
        return f"{self._random.choice(FIRST_NAMES)} {self._random.choice(LAST_NAMES)}"

    def _past(self, number: int, keys: dict[str, list[str]]) -> ImportedItem:
        """A notification of the last 30 days; most are read."""
        tenant = self._tenant(number)
        type, title, body, priority, tags = self._random.choice(CONTENTS)
        created = self._now - timedelta(days=DAYS) * self._random.random() ** 1.5
        item: ImportedItem = {
            "to": self._random.choice(keys[tenant]),
            "tenant": tenant,
            "type": type,
            "title": title.format(n=number),
            "body": body,
            "priority": priority,
            "tags": tags,
            "created_at": created,
        }
        read = created + timedelta(minutes=self._random.expovariate(1 / 90))
        if read < self._now and self._random.random() < 0.8:
            item["read_at"] = read
            if self._random.random() < 0.1:
                item["archived_at"] = read
        return item

    def _request(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Send a request for which the client has no method."""
        from bellcast.client.request import HttpRequest

        content, headers = msgspec.json.encode(body), {"Content-Type": "application/json"}
        self._client.sender.send(HttpRequest(method, path, lambda response: None, headers=headers, content=content))


def _split(keys: list[str]) -> Iterator[list[str]]:
    """The recipients of each trigger."""
    return (keys[start : start + TRIGGERED] for start in range(0, len(keys), TRIGGERED))
