"""The HTML pages."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute

from bellcast.examples.app_kit import visit_of

from . import identity, pictures
from .bookings import KINDS, MOST_AHEAD, MOST_FILES, MOST_PHOTOS, Booking, Diary, now_here
from .dependencies import Data, SignedIn, find_booking
from .identity import Person


class PageRoute(APIRoute):
    """A page, which also responds to HEAD: link checkers and monitors request it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **{**options, "methods": ["GET", "HEAD"]})


router = APIRouter(route_class=PageRoute)
HERE = Path(__file__).parent
STATUSES = {
    "requested": "Waiting for a photographer",
    "assigned": "Coming up",
    "finished": "Delivered",
    "cancelled": "Cancelled",
    "declined": "Declined",
}
# Browsers must not guess another media type for uploads.
_PICTURE_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Render a page. `root` is the path at which the site is mounted; every link starts with it."""
    root = request.scope["root_path"]
    shown = _templates.get_template(template).render(root=root, here=request.url.path.removeprefix(root), **values)
    # Without this, the button "Back" would show the page as it was before a change, or after the sign-out.
    return HTMLResponse(shown, status, headers={"Cache-Control": "no-store"})


def render_for(request: Request, person: Person, template: str, **values: Any) -> Response:
    """Render a page for a signed-in person, with a bell."""
    return render(
        request, template, me=person, bellcast=request.app.state.bellcast_url,
        statuses=STATUSES, seated=visit_of(request).suggested is not None, **values,
    )  # fmt: skip


@router.get("/bookings")
def home(request: Request, person: SignedIn, database: Data) -> Response:
    with database.transaction() as connection:
        theirs = Diary(connection).of(person)
    return render_for(request, person, "bookings.html", groups=_by_status(theirs))


@router.get("/bookings/new")
def new_booking(request: Request, person: SignedIn) -> Response:
    today = now_here().date()
    days = {
        "first_day": today + timedelta(days=1),
        "suggested_day": today + timedelta(weeks=1),
        "last_day": today + MOST_AHEAD,
    }
    return render_for(request, person, "book.html", kinds=KINDS.values(), **days)


@router.get("/bookings/{number:id}")
def booking(number: int, request: Request, person: SignedIn, database: Data) -> Response:
    with database.transaction() as connection:
        shown = find_booking(connection, number, person)
    return render_for(
        request, person, "booking.html",
        booking=shown, photographers=identity.with_role("photographer"),
        most_photos=MOST_PHOTOS, most_files=MOST_FILES,
    )  # fmt: skip


@router.get("/bookings/{number:id}/photos/{picture:id}")
def photo(number: int, picture: int, request: Request, person: SignedIn, database: Data) -> Response:
    """Return a picture of a finished gallery: the uploaded one, or a placeholder."""
    with database.transaction() as connection:
        shown = find_booking(connection, number, person)
        upload = Diary(connection).photo(shown, picture)
    if shown.work is None or not 1 <= picture <= shown.work.photos:
        return missing(request)
    if upload is not None:
        return Response(upload.content, media_type=upload.media_type, headers=_PICTURE_HEADERS)
    drawn = pictures.draw(shown.kind.key, shown.id * 100 + picture)
    return Response(drawn, media_type="image/svg+xml", headers=_PICTURE_HEADERS)


@router.get("/classic")
def classic(request: Request, person: SignedIn) -> Response:
    """Compare the old bell, which polls every 30 seconds, with the new one."""
    return render_for(request, person, "classic.html")


def missing(request: Request) -> Response:
    return render(request, "missing.html", 404)


def _by_status(bookings: list[Booking]) -> Mapping[str, list[Booking]]:
    order = list(STATUSES)
    ranked = sorted(bookings, key=lambda booking: order.index(booking.status))
    return {status: list(group) for status, group in groupby(ranked, key=lambda booking: booking.status)}
