"""The five apps as the start page shows them."""

from collections.abc import Sequence
from typing import NamedTuple

from . import rings


class Tile(NamedTuple):
    """An app on the page. `name` is its name in `bellcast demo`. Its bell belongs to `owner`, who receives `event` in the
    app's dialect when `actor` does what `ring` does. `pane` is the path that
    signs the owner in and shows the app. `lines` are from its team's document, each with the page that shows it."""

    name: str
    slug: str
    brand: str
    about: str
    people: str
    tenants: tuple[str | None, ...]
    stack: str
    dialect: str
    event: str
    owner: str
    token_path: str
    pane: str
    actor: str
    ring: rings.Ring
    action: str
    lines: Sequence[tuple[str, str]]
    has_forms: bool = False


TILES = [
    Tile("Photo studio", "oriel", "Oriel", "Clients book sessions, the front desk assigns them, photographers deliver.",
         "clara, mira, theo", ("oriel",), "Server-sent events", "sse", "notification",
         "mira", "/api/bell-token", "/as/mira/enter", "clara", rings.book_photographs, "Clara books a session; the bell is Mira’s.", (
             ("Client creates booking, admin notified", "/bookings/new"),
             ("Admin assigns photographer, photographer uploads work", "/bookings"),
             ("Old system: polled every 30 seconds", "/classic"),
         )),
    Tile("Lead market", "leadwell", "Leadwell", "Customers’ requests, sold to plumbers and roofers.",
         "ruth, 42, 43", (None,), "Pusher, Laravel Echo", "pusher", "lead.assigned",
         "ruth", "/api/bell-token", "/as/ruth/enter", "ruth", rings.add_lead, "A lead comes in; the bell is Ruth’s.", (
             ("Dashboards auto-refresh on events", "/desk"),
             ("Pusher enabled in admin settings, test connection successful", "/admin/settings"),
             ("Troubleshooting", "/admin/troubleshooting"),
         )),
    Tile("Shop suite", "suite", "North Street", "Sales, stock and customers of two shops.",
         "nadia, omar, petra", ("north", "south"), "Django, WebSocket", "websocket", "notification",
         "nadia", "/api/notifications/token/", "/login?enter=nadia", "omar", rings.add_customer, "Omar adds a customer; the bell is Nadia’s.", (
             ("Sales: when a sale is created or completed", "/sales/"),
             ("Inventory: when stock is low or adjusted", "/inventory/"),
             ("Customers: when a customer is created or updated", "/customers/"),
             ("Security: when login fails, password changed", "/security/"),
             ("System: when updates or maintenance occur", "/system/"),
             ("NotificationPreference model", "/preferences/"),
             ("Django admin", "/admin/"),
             ("NotificationCenter component", "/classic/"),
         ), True),
    Tile("Celebrity booking", "starlight", "Starlight", "Stars for weddings and openings, with e-mails and reminders.",
         "dana, iris, noah", ("starlight",), "Socket.IO, JWT", "socketio", "booking_update",
         "dana", "/api/token", "/as/dana/enter", "iris", rings.request_star, "Iris requests a star; the bell is Dana’s.", (
             ("Booking status change notifications", "/bookings"),
             ("Auto-email on status changes", "/mail"),
             ("Scheduled task system", "/schedules"),
             ("System event logging", "/activity"),
         )),
    Tile("Home services", "gable", "Gable", "Book a plumber, pay, and chat in private.",
         "nora, ben, lucia", ("gable",), "WebSocket, React", "websocket", "notification",
         "ben", "/api/bellcast-token", "/as/ben/enter?to=/bookings", "nora", rings.book_plumber, "Nora books a plumber; the bell is Ben’s.", (
             ("Real-time booking notifications", "/services"),
             ("Real-time payment notifications", "/payments"),
             ("React hooks for WebSocket integration", "/today"),
             ("Multi-device support", "/account"),
         )),
]  # fmt: skip
