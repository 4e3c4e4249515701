"""Activity of the server of `bellcast demo --busy`: recipients, workflows, messages, runs and failures, created through
its API."""

import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle, islice
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.client import Bellcast

from .requests import send

# Recipients of one trigger.
TRIGGERED = 25
# Every demo has the same data, apart from times.
SEED = 7
TENANTS = {"aurora": "Aurora Studios", "harbor": "Harbor Rentals", "juniper": "Juniper Clinic"}
BRANDS: dict[str, dict[str, Any]] = {
    "aurora": {"color": "#6d3fc8", "address": "Lindengasse 7, 1070 Vienna", "footer": "You book with us, so we write to you."},
    "harbor": {"color": "#0f6b7a", "background": "#eef4f5", "radius": 4, "address": "Pier 4, 20457 Hamburg"},
}  # fmt: skip
FIRST_NAMES = (
    *("Alice", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Ivo", "Júlia", "Kofi", "Lena"),
    *("Mateo", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Samir", "Tove", "Uma", "Viktor", "Wanda", "Xenia"),
    *("Yusuf", "Zoe", "Anders", "Beatriz", "Cem", "Daria", "Emil", "Fatima", "Goran", "Helena", "Ines", "Jonas"),
    *("Klara", "Luca", "Mira", "Noah", "Olga", "Pablo", "Ravi", "Sofia", "Tariq", "Ursula", "Vera", "Wei"),
)
LAST_NAMES = (
    *("Adler", "Bianchi", "Costa", "Demir", "Eriksen", "Fischer", "Grant", "Horváth", "Ito", "Jansen", "Kaya"),
    *("Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Silva", "Tanaka", "Ullman"),
    *("Varga", "Weber", "Xu", "Yilmaz", "Zeman", "Andersen", "Baker", "Chen", "Dubois", "Esposito", "Fontaine"),
    *("Garcia", "Haddad", "Ivanova", "Jung", "Kowalski", "Larsen", "Mendes", "Nakamura", "Olsen", "Park"),
)
# As many as there are recipients, so that each has a name of its own.
NAMES = [f"{first} {last}" for last in LAST_NAMES for first in FIRST_NAMES]
# Shares of the recipients, and so of the notifications, in percent.
SHARES = dict(zip(TENANTS, (90, 9, 1), strict=True))
WORKFLOW_KEY = "booking"
WORKFLOW: dict[str, Any] = {
    "type": "booking.created",
    "steps": [
        {"key": "bell", "type": "inbox", "title": "Booking of {{ data.customer.name }}"},
        {"key": "mail", "type": "email", "subject": "Your booking", "text": "{{ recipient.name }}, see you soon."},
        {"key": "wait", "type": "delay", "for": "1h", "if": {"var": "data.reminds", "op": "eq", "value": True}},
    ],
}
REMINDER_KEY, REMINDER = (
    "reminder",
    {
        "type": "booking.reminder",
        "note": "E-mail two hours before, then an SMS",
        "data": {
            "type": "object",
            "properties": {
                "customer": {"type": "string"},
                "starts_at": {"type": "string", "format": "date-time"},
                "total": {"type": "number"},
            },
            "required": ["customer", "starts_at"],
        },
        "steps": [
            {"key": "bell", "type": "inbox", "title": "Tomorrow: {{ data.customer }}"},
            {"key": "before", "type": "delay", "until": {"var": "data.starts_at"}, "offset": "-2h"},
            {
                "key": "value",
                "type": "branch",
                "branches": [
                    {
                        "if": {"var": "data.total", "op": "gte", "value": 100},
                        "steps": [
                            {"key": "mail", "type": "email", "template": "reminder"},
                            {
                                "key": "opened",
                                "type": "wait_for",
                                "step": "mail",
                                "event": "delivered",
                                "timeout": "30m",
                            },
                            {
                                "key": "text",
                                "type": "sms",
                                "text": "{{ data.customer }}, see you at {{ data.starts_at | time }}.",
                            },
                        ],
                    }
                ],
                "else": [{"key": "ping", "type": "push", "title": "See you soon, {{ data.customer }}"}],
            },
        ],
    },
)
TEMPLATE: dict[str, Any] = {
    "inbox": {"title": "Tomorrow: {{ data.customer }}"},
    "email": {
        "subject": "Tomorrow at {{ data.starts_at | time }}",
        "blocks": [
            {"type": "heading", "text": "See you tomorrow, {{ data.customer }}"},
            {"type": "text", "text": "Your booking is on **{{ data.starts_at | date }}** at {{ data.starts_at | time }}."},
            {
                "type": "columns",
                "columns": [
                    {"blocks": [{"type": "text", "text": "Total"}]},
                    {"blocks": [{"type": "text", "text": "**{{ data.total | money('EUR') }}**", "align": "right"}]},
                ],
            },
            {"type": "divider"},
            {"type": "button", "text": "Open the booking", "url": "https://example.com/bookings"},
        ],
    },
    "translations": {
        "de": {
            "inbox": {"title": "Morgen: {{ data.customer }}"},
            "email": {
                "subject": "Morgen um {{ data.starts_at | time }}",
                "blocks": [
                    {"type": "heading", "text": "Bis morgen, {{ data.customer }}"},
                    {"type": "text", "text": "Ihr Termin ist am **{{ data.starts_at | date }}** um {{ data.starts_at | time }}."},
                    {"type": "button", "text": "Termin öffnen", "url": "https://example.com/bookings"},
                ],
            },
        }
    },
}  # fmt: skip

# Announcements to a topic, a role or the tenant: the key and the name of the audience, type, title and text.
ANNOUNCEMENTS = (
    ("tenant", None, "maintenance", "Maintenance on Sunday", "Between 02:00 and 02:30, bookings cannot be changed."),
    ("topic", "news", "news", "The calendar has a week view", "Drag a booking to another day, or to another room."),
    ("role", "staff", "policy", "New rules for cancellations", "From 1 March, free of charge until 24 hours before."),
    ("tenant", None, "news", "We are open on Monday", "On the public holiday from 10:00 to 16:00."),
    ("topic", "news", "product", "Receipts as PDF", "Each payment has a receipt that you can download."),
    (
        "tenant",
        None,
        "incident",
        "Payments work again",
        "Cards were refused from 09:12 to 09:31. Nothing was charged twice.",
    ),
    (
        "role",
        "accounting",
        "policy",
        "Invoices get a purchase number",
        "Please ask customers for theirs before you book.",
    ),
    ("topic", "news", "news", "Meet us in Vienna", "At the fair from 12 to 14 May, hall 3."),
    ("tenant", None, "security", "Sign in with a passkey", "Passwords stay valid. You find passkeys in your account."),
    ("topic", "news", "product", "Reminders by text message", "Turn them on in your preferences."),
    ("role", "staff", "maintenance", "Printers move on Thursday", "Labels are printed on the second floor from noon."),
    (
        "tenant",
        None,
        "news",
        "Thank you for 10,000 bookings",
        "The first thousand took a year, the last one nine days.",
    ),
)


class Amounts(Struct, frozen=True, kw_only=True):
    """Numbers of objects, for all tenants together."""

    recipients: int = 2_000
    messages: int = 0
    runs: int = 0
    # Runs whose data lacks a value that the workflow's text requires.
    failed_runs: int = 0
    # Runs that wait until two hours before an appointment.
    reminders: int = 0
    announcements: int = 0


# Of the busy demo: its past has everything else.
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


def set_up(client: Bellcast, suffix: str = "") -> None:
    """Create the tenants with what they have defined, without recipients."""
    for step in definitions(client, suffix):
        step()


def definitions(client: Bellcast, suffix: str = "") -> list[Callable[[], object]]:
    """Return the requests that create the tenants, their brands, templates and workflows."""
    made: list[Callable[[], object]] = []
    for key, name in TENANTS.items():
        tenant = f"{key}{suffix}"
        settings = {"plan": "team"} | ({"brand": BRANDS[key]} if key in BRANDS else {})
        made += [
            partial(send, client, "PUT", f"/v1/tenants/{tenant}", {"name": name, "settings": settings}),
            partial(client.templates.put, REMINDER_KEY, TEMPLATE, tenant=tenant),
            partial(client.workflows.put, WORKFLOW_KEY, WORKFLOW, tenant=tenant),
            partial(client.workflows.put, REMINDER_KEY, REMINDER, tenant=tenant),
        ]
    return made


def announcement(client: Bellcast, tenant: str, content: tuple[str, str | None, str, str, str]) -> Callable[[], object]:
    """Return the request that sends one of the ANNOUNCEMENTS."""
    audience, name, type, title, body = content
    to: Any = {audience: name or tenant}
    return partial(client.notify, to, title=title, body=body, type=type, tenant=tenant)


def keys_by_tenant(recipients: int = DEFAULT.recipients) -> dict[str, list[str]]:
    """Return the recipients of each tenant."""
    tenants = [tenant for tenant, share in SHARES.items() for _ in range(share)]
    keys = {tenant: list[str]() for tenant in TENANTS}
    for number in range(recipients):
        # Smallest tenant first, so that a few recipients are in all tenants.
        name = unicodedata.normalize("NFD", NAMES[number % len(NAMES)]).encode("ascii", "ignore").decode()
        keys[tenants[-1 - number % len(tenants)]].append(f"{name.lower().replace(' ', '-')}-{number}")
    return keys


def name_of(key: str) -> str:
    """Return the name of a recipient of `keys_by_tenant`, with its accents."""
    return NAMES[int(key.rpartition("-")[2]) % len(NAMES)]


def record(tenant: str, key: str, chosen: random.Random) -> dict[str, Any]:
    """Return the record of a recipient of `keys_by_tenant`."""
    fields: dict[str, Any] = {
        "key": key,
        "name": name_of(key),
        "locale": chosen.choice(["en-GB", "en-US", "en-IE", "en-AU"]),  # as the texts of the demo
    }
    if chosen.random() < 0.9:  # the others have no address, so that their e-mails are skipped
        fields |= {"email": f"{key}@{tenant}.example", "phone": f"+4366{chosen.randrange(10**7, 10**8)}"}
    return fields


class _BusyData:
    def __init__(self, client: Bellcast, amounts: Amounts, suffix: str) -> None:
        self._client = client
        self._amounts = amounts
        self._tenants = {f"{key}{suffix}": name for key, name in TENANTS.items()}
        self._keys = dict(zip(self._tenants, keys_by_tenant(amounts.recipients).values(), strict=True))
        self._random = random.Random(SEED)
        self._announcements = cycle(ANNOUNCEMENTS)

    def requests(self) -> Iterator[int]:
        """Make one request at a time; yield the number of objects that it created."""
        for tenant, keys in self._keys.items():
            yield from self._subscribe(tenant, keys)
        for tenant, keys in self._keys.items():
            yield from self._send(tenant, keys)

    def _subscribe(self, tenant: str, keys: Sequence[str]) -> Iterator[int]:
        self._client.recipients.bulk([record(tenant, key, self._random) for key in keys], tenant=tenant)
        for key in keys[: len(keys) // 10]:
            self._client.subscribe("news", key, tenant=tenant)
        yield len(keys)

    def _send(self, tenant: str, keys: Sequence[str]) -> Iterator[int]:
        """Create current activity: e-mails and text messages, announcements, runs, and failing runs."""
        amounts, parts = self._amounts, len(self._tenants)
        for content in islice(self._announcements, amounts.announcements // parts):
            announcement(self._client, tenant, content)()
            yield 1
        chosen = self._random.choices(keys, k=amounts.messages // parts)
        self._client.bulk(
            {
                "to": key,
                "tenant": tenant,
                "type": "booking.created",
                "title": f"Your booking #{number}",
                "body": "See you soon.",
                "channels": channels,
            }
            for number, key in enumerate(chosen)
            for channels in [self._random.choice([["inbox", "email"], ["inbox", "sms"]])]
        )
        yield len(chosen)
        for number, started in enumerate(_split(self._sample(keys, amounts.runs // parts))):
            # The runs of every second trigger wait.
            data = {"customer": {"name": self._random.choice(NAMES)}, "reminds": number % 2 == 0}
            self._client.trigger(WORKFLOW_KEY, started, data, tenant=tenant)
            yield len(started)
        for number, key in enumerate(self._sample(keys, amounts.reminders // parts)):
            # Every second appointment is so near that its mail is sent at once.
            starts_at = datetime.now(UTC) + timedelta(hours=1 if number % 2 == 0 else 26)
            data = {
                "customer": name_of(key),
                "starts_at": starts_at.isoformat(),
                "total": self._random.choice([60, 120]),
            }
            self._client.trigger(REMINDER_KEY, key, data, tenant=tenant)
            yield 1
        for started in _split(self._sample(keys, amounts.failed_runs // parts)):
            self._client.trigger(WORKFLOW_KEY, started, {"reminds": False}, tenant=tenant)
            yield len(started)

    def _sample(self, keys: Sequence[str], number: int) -> list[str]:
        return self._random.sample(keys, min(number, len(keys)))


def _split(keys: list[str]) -> Iterator[list[str]]:
    """Yield the recipients of each trigger."""
    return (keys[start : start + TRIGGERED] for start in range(0, len(keys), TRIGGERED))
