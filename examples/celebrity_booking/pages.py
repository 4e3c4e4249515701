"""The HTML pages."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bellcast.client import Bellcast, BellcastError
from bellcast.examples.app_kit import Person, signed_in_person

from . import portraits
from .agency import DAY_PLAN_TIMES
from .bookings import MOST_AHEAD, NotPossible, today
from .desk import page_data
from .identity import CAST, TENANT, TIMEZONE

HERE = Path(__file__).parent
# Each e-mail is fetched with its content.
MOST_MESSAGES = 20
_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)


def local(at: datetime | str) -> str:
    """Return a time as the agency's clock shows it."""
    time = datetime.fromisoformat(at) if isinstance(at, str) else at
    return time.astimezone(ZoneInfo(TIMEZONE)).strftime("%a %d %b, %H:%M")


_templates.filters["local"] = local


async def side_by_side(request: Request) -> Response:
    """Show the agency and two clients side by side."""
    return _render(request, "side_by_side.html", people=CAST)


async def home(request: Request) -> Response:
    """Show the admin's or the client's page."""
    person = signed_in_person(request)
    data = page_data(request.app.state.ledger, person)
    last_day = today() + MOST_AHEAD
    return _page(request, person, f"{person.role}.html", data=data, first_day=today(), last_day=last_day)


def mail(request: Request) -> Response:
    """Show the e-mails that Bellcast sent for the agency, or stored because no mail server is configured."""

    def read(bell: Bellcast) -> dict[str, Any]:
        found = bell.messages.list(channel="email", limit=MOST_MESSAGES, tenant=TENANT).messages
        messages = [bell.messages.get(message.id, tenant=TENANT) for message in found]
        return {"messages": messages, "mailbox": bell.messages.mailbox(tenant=TENANT)["url"]}

    return _bellcast_page(request, "mail.html", read)


def schedules(request: Request) -> Response:
    return _bellcast_page(request, "schedules.html", lambda bell: bell.schedules.list(tenant=TENANT))


def run_schedule(request: Request) -> Response:
    """Fire a schedule now."""
    _admin(request)
    try:
        request.app.state.bell.schedules.run(request.path_params["key"], tenant=TENANT)
    except BellcastError as error:
        raise HTTPException(503, f"Bellcast refused or cannot be reached: {error}") from error
    return RedirectResponse(request.scope["root_path"] + "/schedules", 303)


async def activity(request: Request) -> Response:
    return _page(request, _admin(request), "activity.html", entries=request.app.state.ledger.activity())


async def portrait(request: Request) -> Response:
    drawn = portraits.draw(request.path_params["celebrity"])
    return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


async def refused(request: Request, error: Exception) -> Response:
    """Respond with JSON for API paths, with a page for all others."""
    assert isinstance(error, HTTPException | NotPossible)
    if "/api/" in request.url.path:
        return JSONResponse({"error": error.detail}, error.status_code)
    is_missing = error.status_code == 404
    reason = "Page not found" if is_missing else error.detail
    return _render(request, "refused.html", error.status_code, reason=reason, is_missing=is_missing)


def _admin(request: Request) -> Person:
    person = signed_in_person(request)
    if person.role != "admin":
        raise HTTPException(403, "Only the agency sees this page.")
    return person


def _bellcast_page(request: Request, template: str, read: Callable[[Bellcast], dict[str, Any]]) -> Response:
    """Show the admins what Bellcast has, or that it can't be reached."""
    person = _admin(request)
    try:
        values = read(request.app.state.bell)
    except BellcastError:
        return _page(request, person, template, 503, is_down=True)
    return _page(request, person, template, day_plan_times=DAY_PLAN_TIMES, **values)


def _page(request: Request, person: Person, template: str, status: int = 200, **values: Any) -> Response:
    state = request.app.state
    return _render(request, template, status, me=person, bellcast=state.bellcast_url, client=state.client, **values)


def _render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    root = request.scope["root_path"]
    here = request.url.path.removeprefix(root)
    text = _templates.get_template(template).render(root=root, here=here, **values)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


routes = [
    Route("/bookings", home),
    *(Route(f"/{role}", RedirectResponse("bookings")) for role in ("client", "admin")),
    Route("/mail", mail),
    Route("/schedules", schedules),
    Route("/schedules/{key}", run_schedule, methods=["POST"]),
    Route("/activity", activity),
    Route("/portraits/{celebrity}.svg", portrait),
]
