"""What happened on the server of `bellcast demo` in the last 30 days: operators set it up and change it, an app sends, and
support looks into cases."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import httpx

from bellcast.client import Bellcast
from bellcast.kernel import times
from bellcast.kernel.ids import Ids
from bellcast.operators.types import Role

from . import activity, history, installation
from .past_server import PastServer
from .requests import send
from .servers import ServerUrls

DAY = 24.0
# With surnames: the owner of the demo, who is set up later, has any other name.
MARA, JONAS, LENA = "mara.holm", "jonas.reis", "lena.vogt"
# The role of each operator, its tenants, and how many hours ago it was last here.
OPERATORS: Mapping[str, tuple[Role, tuple[str, ...] | None, float]] = {
    MARA: ("developer", None, 2.4),
    JONAS: ("support", ("aurora", "harbor"), 5.2),
    LENA: ("viewer", None, 3 * DAY + 6),
}
CAREFUL = MARA  # has a second factor
AURORA, HARBOR, JUNIPER = activity.TENANTS
# The tenants of the apps that start with the demo.
NAMES = {"oriel": "Oriel", "north": "North Street", "south": "South Street", "starlight": "Starlight", "gable": "Gable"}
# Hours ago: from the first to the last request.
SET_UP, ANNOUNCED, LAST_DAY = (29.4 * DAY, 26 * DAY), (25 * DAY, 3.5), (23.7, 0.2)
# Recipients open their inboxes, first before anything is announced, and not in the last day; so many at a time.
VISITS, VISITORS, VISITED = 10, 8, (25.6 * DAY, 1.1 * DAY)
SHOWN = 100  # newest notifications of an inbox
# Of each tenant, the recipients that have a role.
ROLES = {"staff": slice(0, 5), "accounting": slice(5, 7)}
# Keys, and the hours since their last use.
WEBSITE, BOOKING, REPORT, AGENT = "website", "booking service", "monthly report", "support agent"
USED = {WEBSITE: 0.2, BOOKING: 0.1, REPORT: 6.3 * DAY, AGENT: 2.2}
# What those that only read have read then.
READINGS = (
    (REPORT, "/v1/notifications?tenant=harbor"),
    (REPORT, "/v1/messages?tenant=harbor"),
    (AGENT, "/v1/requests?status=4xx&tenant=aurora"),
    (AGENT, "/v1/runs?state=failed&tenant=aurora"),
    (AGENT, "/v1/failures?tenant=aurora"),
)
# Of the last day, in all tenants.
RECIPIENTS = 60
SENDS, RUNS, REMINDERS, EVENTS = 30, 6, 8, 5
READ = 0.5
SUPPRESSED = "/v1/suppressions/email"
EXPLAINED = activity.WORKFLOW | {"note": "Confirms by bell and e-mail"}
PATIENT = {**EXPLAINED, "steps": [*activity.WORKFLOW["steps"][:2], activity.WORKFLOW["steps"][2] | {"for": "2h"}]}
Event = tuple[float, Callable[[], object]]


def replay(past: PastServer, servers: ServerUrls, *, is_busy: bool) -> dict[str, float]:
    """Send all requests in the order of their times, those of the last day only if it is busy. Return the ids of API keys,
    with the hours since their last use."""
    story = _Story(past, servers)
    events = story.month() + (story.last_day() if is_busy else [])
    for hours, act in sorted(events, key=lambda event: -event[0]):
        past.move_to(hours)
        act()
    past.move_to(0)
    issued = past.secret.sender.connections().get("/v1/keys").json()["keys"]
    return {key["id"]: USED[key["name"]] for key in issued if key["name"] in USED}


def _spread(steps: Sequence[Callable[[], object]], period: tuple[float, float]) -> list[Event]:
    """Return the steps with times from the first to the last."""
    first, last = period
    return [(first - (first - last) * place / max(len(steps) - 1, 1), step) for place, step in enumerate(steps)]


class _Story:
    def __init__(self, past: PastServer, servers: ServerUrls) -> None:
        self._past = past
        self._servers = servers
        self._random = random.Random(activity.SEED)
        self._mara, self._jonas = past.operator(MARA), past.operator(JONAS)
        self._keys = activity.keys_by_tenant(RECIPIENTS)
        self._clients: dict[str, Bellcast] = {}  # by the names of their keys

    def month(self) -> list[Event]:
        """Return how the server was set up and changed, in any order."""
        mara, secret = self._mara, self._past.secret
        named = [partial(send, mara, "PUT", f"/v1/tenants/{tenant}", {"name": name}) for tenant, name in NAMES.items()]
        set_up = named + installation.steps(mara, self._issue, self._servers, tenant=HARBOR, troubled=AURORA)
        announced = [
            activity.announcement(secret, tuple(activity.TENANTS)[place % 3], content)
            for place, content in enumerate(activity.ANNOUNCEMENTS)
        ]
        return [
            *_spread([*activity.definitions(mara), self._add_recipients, *set_up, self._issue_keys], SET_UP),
            (SET_UP[1], self._past.settle),  # schedules are planned
            *_spread(announced, ANNOUNCED),
            *_spread([self._visit] * VISITS, VISITED),
            *self._changes(),
            *self._support(),
            *((USED[key], self._act_of(key, "GET", path)) for key, path in READINGS),
        ]

    def last_day(self) -> list[Event]:
        """Return what the app sent in the last day, and what failed."""
        return [*_spread(self._sent(), LAST_DAY), *self._incidents(), (USED[BOOKING], self._trigger)]

    def _add_recipients(self) -> None:
        for tenant, keys in self._keys.items():
            records = [activity.record(tenant, key, self._random) for key in keys]
            self._past.secret.recipients.bulk(records, tenant=tenant)
            for key in keys[: len(keys) // 8]:
                self._past.secret.subscribe("news", key, tenant=tenant)

    def _visit(self) -> None:
        """Let recipients open their inboxes, all with a role and some others; some read what is new."""
        for tenant, keys in self._keys.items():
            roles = {key: [role] for role, some in ROLES.items() for key in keys[some]}
            for key in dict.fromkeys([*roles, *self._random.sample(keys, min(VISITORS, len(keys)))]):
                token = self._past.secret.token(key, tenant=tenant, roles=roles.get(key))
                self._open(token, [act for act in ("seen", "read") if self._random.random() < READ])

    def _open(self, token: str, acts: Sequence[str]) -> None:
        """Open an inbox, and mark what it has at this time: what the history has of later days is stored already."""
        inbox = self._website.inbox(token)
        page = inbox.list(limit=SHOWN, before=Ids().new(self._past.now() + 1))
        for act in acts if page.notifications else ():
            getattr(inbox, act)(*(one.id for one in page.notifications))

    def _issue_keys(self) -> None:
        """Issue the key of the app, and one that it replaces."""
        self._issue({"name": WEBSITE, "scopes": ["send", "read"]})
        replaced = self._issue({"name": "website until March", "scopes": ["send"]})
        self._request(self._past.secret, "DELETE", f"/v1/keys/{replaced}")

    def _issue(self, key: dict[str, Any]) -> str:
        """Issue a key, and return its id."""
        issued = self._request(self._past.secret, "POST", "/v1/keys", key).json()
        self._clients[key["name"]] = self._past.key(issued["key"])
        return str(issued["id"])

    @property
    def _website(self) -> Bellcast:
        return self._clients[WEBSITE]

    def _changes(self) -> list[Event]:
        """Return what the developer changed after the set-up."""
        mara, types = self._mara, installation.TYPES
        return [
            (21.2 * DAY, lambda: mara.workflows.put("booking", EXPLAINED, tenant=HARBOR)),
            (17.1 * DAY, lambda: mara.types.put("review", types["review"] | {"defaults": {"email": True}})),
            (14.3 * DAY, lambda: mara.workflows.put("booking", PATIENT, tenant=HARBOR)),
            (9.2 * DAY, lambda: mara.types.put("review", types["review"])),
            (8.3 * DAY, self._act(mara, "DELETE", f"{SUPPRESSED}/lena.ito%40harbor.example?tenant=harbor")),
            (6.4 * DAY, self._act(mara, "GET", f"/v1/recipients/{self._keys[HARBOR][0]}/export?tenant=harbor")),
            (4.1 * DAY, lambda: mara.workflows.put("booking", EXPLAINED, tenant=AURORA)),
            (2.6 * DAY, lambda: mara.templates.put("reminder", self._shorter_reminder(), tenant=AURORA)),
            (2.5, installation.failing_webhook(mara, self._servers, AURORA)),
        ]

    def _support(self) -> list[Event]:
        """Return how support looked into cases, of which one is not theirs."""
        key, other = self._keys[HARBOR][0], self._keys[AURORA][3]
        cases = (
            (19.3 * DAY, "GET", f"/v1/recipients/{key}?tenant=harbor"),
            (19.2 * DAY, "GET", f"/v1/explain?recipient={key}&type=booking.created&tenant=harbor"),
            (11.4 * DAY, "GET", "/v1/messages?tenant=harbor&state=bounced"),
            (11.2 * DAY, "DELETE", "/v1/workflows/reminder?tenant=harbor"),
            (3.2 * DAY, "GET", f"/v1/recipients/{other}?tenant=aurora"),
            (5.4, "GET", f"/v1/explain?recipient={other}&type=review&tenant=aurora"),
        )
        return [(hours, self._act(self._jonas, method, path)) for hours, method, path in cases]

    def _sent(self) -> list[Callable[[], object]]:
        """Return what the app sent, mixed."""
        steps = [
            *[self._send] * SENDS,
            *[self._trigger] * RUNS,
            *[self._remind] * REMINDERS,
            *[self._publish] * EVENTS,
            *(self._act_of(WEBSITE, *refused) for refused in self._refused()),
        ]
        self._random.shuffle(steps)
        return steps

    def _refused(self) -> list[tuple[str, str, Any]]:
        key = self._keys[AURORA][5]
        return [
            ("POST", "/v1/notifications?tenant=aurora", {"to": key, "type": "comment"}),
            ("POST", "/v1/workflows/bookings/trigger?tenant=aurora", {"to": key}),
            ("POST", "/v1/notifications?tenant=harbor", {"to": "", "title": "New booking"}),
            ("DELETE", f"/v1/recipients/{key}?tenant=aurora", None),
        ]

    def _incidents(self) -> list[Event]:
        """Return what failed in the last day."""
        bounced = ("gone-away@example.com", 19.1), ("blocked-mail@example.com", 7.3)
        runs = (13.4, HARBOR, self._keys[HARBOR][:2]), (2.2, AURORA, self._keys[AURORA][:3])
        return [
            *((hours, self._bounce(address)) for address, hours in bounced),
            *((hours, partial(self._fail, tenant, keys)) for hours, tenant, keys in runs),
        ]

    def _fail(self, tenant: str, keys: list[str]) -> None:
        """Trigger a workflow without the customer, whom its text names."""
        self._website.trigger("booking", keys, {"reminds": False}, tenant=tenant)
        self._past.settle()

    def _send(self) -> None:
        tenant, key = self._anyone()
        type, title, body, _, _ = self._random.choice(history.CONTENTS)
        title, body = (text.format(n=self._random.randrange(1000, 9999)) for text in (title, body))
        self._website.notify(key, title=title, body=body, type=type, tenant=tenant)
        if self._random.random() < READ:
            self._open(self._past.secret.token(key, tenant=tenant), ["read"])

    def _trigger(self) -> None:
        tenant, key = self._anyone()
        data = {"customer": {"name": self._random.choice(activity.NAMES)}, "reminds": True}
        self._clients[BOOKING].trigger("booking", key, data, tenant=tenant)
        self._past.settle()

    def _remind(self) -> None:
        tenant, key = self._anyone()
        starts_at = times.to_rfc3339(self._past.at(-self._random.uniform(3, 30)))
        data = {"customer": activity.name_of(key), "starts_at": starts_at, "total": self._random.choice([60, 120])}
        self._clients[BOOKING].trigger("reminder", key, data, tenant=tenant)
        self._past.settle()

    def _publish(self) -> None:
        key = self._random.choice(self._keys[AURORA])
        data = {"amount": self._random.randrange(20, 400)}
        # The source sends without a tenant, where the recipient has no name yet.
        self._past.secret.recipients.bulk([{"key": key, "name": activity.name_of(key)}])
        self._website.publish(f"private-account.{key}", "payment.received", data)

    def _bounce(self, address: str) -> Callable[[], object]:
        key = f"{address.partition('@')[0]}-{HARBOR}"

        def act() -> None:
            self._past.secret.recipients.bulk([{"key": key, "name": "Robin Hale", "email": address}], tenant=HARBOR)
            content: dict[str, Any] = {"title": "Your booking is confirmed", "type": "booking.created"}
            self._website.notify(key, **content, channels=["inbox", "email"], tenant=HARBOR)
            self._past.settle()

        return act

    def _anyone(self) -> tuple[str, str]:
        tenant = self._random.choice((AURORA, AURORA, HARBOR, HARBOR, JUNIPER))
        return tenant, self._random.choice(self._keys[tenant])

    def _shorter_reminder(self) -> dict[str, Any]:
        email = activity.TEMPLATE["email"]
        return activity.TEMPLATE | {"email": email | {"blocks": email["blocks"][:-2] + email["blocks"][-1:]}}

    def _act(self, client: Bellcast, method: str, path: str, body: Any = None) -> Callable[[], object]:
        return lambda: self._request(client, method, path, body)

    def _act_of(self, key: str, method: str, path: str, body: Any = None) -> Callable[[], object]:
        return lambda: self._request(self._clients[key], method, path, body)

    def _request(self, client: Bellcast, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request once, also one that is refused."""
        return client.sender.connections().request(method, path, json=body)
