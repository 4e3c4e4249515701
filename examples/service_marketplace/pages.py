"""The HTML pages."""

from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bellcast.examples.app_kit import visit_of

from . import chats, moves, people
from .bookings import OPEN, SERVICES, STATUSES
from .desk import booking_of, bookings_of, transaction
from .moves import CARDS, MOVES
from .people import Person

HERE = Path(__file__).parent
# The React page exists only after `npm run build` in `client/`.
TODAY = HERE / "static" / "today.js"
TIMES = ("08:00", "10:00", "12:00", "14:00", "16:00", "18:00")

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a page. `root` is the path at which the site is mounted; every link starts with it."""
    root = request.scope["root_path"]
    here = request.url.path.removeprefix(root)
    return HTMLResponse(_templates.get_template(template).render(root=root, here=here, **values), status)


def render_for(request: Request, person: Person, template: str, **values: Any) -> Response:
    """Render a page for a signed-in person, with a bell."""
    return render(
        request, template, me=person, bellcast=request.app.state.bellcast_url,
        seated=visit_of(request).suggested is not None, statuses=STATUSES, built=TODAY.is_file(), **values,
    )  # fmt: skip


async def home(request: Request) -> Response:
    return RedirectResponse(request.scope["root_path"] + "/bookings")


async def services(request: Request) -> Response:
    return render_for(request, people.asking(request), "services.html", services=SERVICES.values())


async def service(request: Request) -> Response:
    person = people.asking(request)
    found = SERVICES.get(request.path_params["service"])
    if found is None or person.role != "client":
        return missing(request)
    return render_for(request, person, "service.html", service=found, times=TIMES)


async def today(request: Request) -> Response:
    person = people.asking(request)
    return render_for(request, person, "today.html") if TODAY.is_file() else missing(request)


async def bookings(request: Request) -> Response:
    person = people.asking(request)
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
    person = people.asking(request)
    with transaction(request) as connection:
        shown = booking_of(request, connection)
    return render_for(
        request, person, "booking.html",
        booking=shown, other=shown.other(person), moves=MOVES, possible=moves.possible(shown, person),
        cards=CARDS if moves.may_pay(shown, person) else {}, may_refund=moves.may_refund(shown, person),
    )  # fmt: skip


async def payments(request: Request) -> Response:
    person = people.asking(request)
    theirs = [(booking, payment) for booking in bookings_of(request, person) for payment in booking.payments]
    if person.role == "provider":
        theirs = [(booking, payment) for booking, payment in theirs if payment.status != "failed"]
    held = sum(payment.cents for _, payment in theirs if payment.status == "paid")
    rows = sorted(theirs, key=lambda row: row[1].at, reverse=True)
    return render_for(request, person, "payments.html", rows=rows, held=f"{held // 100}.{held % 100:02}")


async def account(request: Request) -> Response:
    person = people.asking(request)
    return render_for(
        request, person, "account.html",
        devices=request.app.state.accounts.of(person), current=visit_of(request).session,
    )  # fmt: skip


def missing(request: Request) -> Response:
    return render(request, "missing.html", 404)


routes = [
    Route("/", home),
    Route("/services", services),
    Route("/services/{service}", service),
    Route("/today", today),
    Route("/bookings", bookings),
    Route("/bookings/{booking:int}", booking),
    Route("/payments", payments),
    Route("/account", account),
]
