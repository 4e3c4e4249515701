"""The HTML pages."""

from datetime import timedelta
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bellcast.examples.app_kit import visit_of

from . import chats, identity, transitions
from .bookings import MOST_AHEAD, OPEN, SERVICES, amount, now_here
from .desk import booking_of, bookings_of, transaction
from .identity import Person
from .languages import HERE, LANGUAGES, Language, language_of
from .transitions import CARDS

# The React page exists only after `npm run build` in `client/`.
TODAY = HERE / "static" / "today.js"
# Texts for the names in `app_kit.accounts` that are not product names.
DEVICES = {
    "A browser": "device.browser", "a computer": "device.computer",
    "an iPhone": "device.iphone", "an iPad": "device.ipad", "a Mac": "device.mac",
}  # fmt: skip
TIMES = ("08:00", "10:00", "12:00", "14:00", "16:00", "18:00")

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def page_values(request: Request) -> dict[str, Any]:
    """Return what every page uses. `root` is the path at which the site is mounted; every link starts with it."""
    root, language = request.scope["root_path"], language_of(request)
    here = request.url.path.removeprefix(root)
    return {"root": root, "here": here, "language": language, "languages": LANGUAGES.values(), "text": language.text}


def login_values(request: Request) -> dict[str, Any]:
    groups = {role: identity.with_role(role) for role in ("client", "provider")}
    return page_values(request) | {"groups": groups}


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_templates.get_template(template).render(page_values(request) | values), status)


def render_for(request: Request, person: Person, template: str, **values: Any) -> Response:
    """Render a page for a signed-in person, with a bell."""
    return render(
        request, template, me=person, bellcast=request.app.state.bellcast_url,
        seated=visit_of(request).suggested is not None, built=TODAY.is_file(), **values,
    )  # fmt: skip


async def home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")


async def services(request: Request) -> Response:
    return render_for(request, identity.signed_in_person(request), "services.html", services=SERVICES.values())


async def service(request: Request) -> Response:
    person = identity.signed_in_person(request)
    found = SERVICES.get(request.path_params["service"])
    if found is None or person.role != "client":
        return missing(request)
    today = now_here().date()
    first_day, last_day = today + timedelta(days=1), today + MOST_AHEAD
    return render_for(
        request, person, "service.html", service=found, times=TIMES, first_day=first_day, last_day=last_day
    )


async def today(request: Request) -> Response:
    person = identity.signed_in_person(request)
    return render_for(request, person, "today.html") if TODAY.is_file() else missing(request)


async def bookings(request: Request) -> Response:
    person = identity.signed_in_person(request)
    theirs = bookings_of(request, person)
    with transaction(request) as connection:
        unread = {booking.id: chats.Chat(connection, booking).unread(person) for booking in theirs}
    return render_for(
        request, person, "bookings.html",
        open=[booking for booking in theirs if booking.status in OPEN],
        past=[booking for booking in theirs if booking.status not in OPEN],
        unread=unread,
    )  # fmt: skip


async def booking(request: Request) -> Response:
    person = identity.signed_in_person(request)
    with transaction(request) as connection:
        shown = booking_of(request, connection)
    return render_for(
        request, person, "booking.html",
        booking=shown, other=shown.other(person), possible=transitions.possible(shown, person),
        cards=CARDS if transitions.may_pay(shown, person) else (), may_refund=transitions.may_refund(shown, person),
    )  # fmt: skip


async def payments(request: Request) -> Response:
    person = identity.signed_in_person(request)
    theirs = [(booking, payment) for booking in bookings_of(request, person) for payment in booking.payments]
    if person.role == "provider":
        theirs = [(booking, payment) for booking, payment in theirs if payment.status != "failed"]
    held = sum(payment.cents for _, payment in theirs if payment.status == "paid")
    rows = sorted(theirs, key=lambda row: row[1].at, reverse=True)
    return render_for(request, person, "payments.html", rows=rows, held=amount(held))


async def account(request: Request) -> Response:
    person = identity.signed_in_person(request)
    return render_for(
        request, person, "account.html",
        devices=request.app.state.accounts.of(person), device_name=device_name, current=visit_of(request).session,
    )  # fmt: skip


def device_name(device: str, language: Language) -> str:
    """Translate the name of a device, like `Firefox on a Mac`."""
    browser, _, system = device.partition(" on ")
    browser, system = (language.text(DEVICES[name]) if name in DEVICES else name for name in (browser, system))
    return language.text("device.name", browser=browser, system=system)


def missing(request: Request) -> Response:
    visit = request.scope.get("visit")
    if visit is None or visit.session is None:
        return render(request, "missing.html", 404)
    return render_for(request, visit.session.person, "missing.html", status=404)


routes = [
    Route("/", home),
    Route("/services", services),
    Route("/services/{service}", service),
    Route("/today", today),
    Route("/bookings", bookings),
    Route("/bookings/{booking:id}", booking),
    Route("/payments", payments),
    Route("/account", account),
]
