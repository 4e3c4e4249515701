"""Sign-in with a password, sign-out, and the session cookie.

An app is mounted at `/`, and again at `/as/{person}` with a separate cookie, so that one browser can show several users
side by side. `/as/{person}/enter` signs the person in with the demo's password."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import bellcast
from bellcast.client import Bellcast, BellcastError

from .accounts import Accounts, Session
from .attempts import WrongPasswords
from .person import DEMO_PASSWORD, Person
from .request_body import read_body

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
CLIENT = Path(bellcast.__file__).parent / "browser"
# Loads the elements, and tries again in an outage. It is part of the package: built by npm, or its source in a checkout.
LOADER = next(path for folder in ("dist", "src") if (path := CLIENT / folder / "bellcast-load.js").is_file())
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# The size limit of a user name and a password.
MAX_FORM_BYTES = 4096
# The reasons why a sign-in is refused. A template gets the name too, as `reason`, to show its own text.
PROBLEMS = {
    "": "",
    "wrong_password": "The user name or the password is wrong.",
    "too_many": "Too many wrong passwords. Please wait {minutes} minutes.",
}


class NotSignedIn(Exception):
    """The request has no session."""


@dataclass
class Visit:
    """The session of a request, and the person that the login page of this mount suggests."""

    session: Session | None
    suggested: Person | None


def visit_of(request: HTTPConnection) -> Visit:
    visit: Visit = request.scope["visit"]
    return visit


def signed_in_person(request: HTTPConnection) -> Person:
    """Return the signed-in person. Raises NotSignedIn."""
    session = visit_of(request).session
    if session is None:
        raise NotSignedIn
    return session.person


def mount_with_sessions(
    site: ASGIApp, accounts: Accounts, cookie: str, side_by_side: Iterable[Person] = ()
) -> Iterator[Mount]:
    for person in side_by_side:
        yield Mount(f"/as/{person.key}", SessionMiddleware(site, accounts, f"{cookie}_{person.key}", person))
    yield Mount("/", SessionMiddleware(site, accounts, cookie))


class SessionMiddleware:
    """Reads and writes the session cookie, and rejects cross-site requests that change data."""

    def __init__(self, site: ASGIApp, accounts: Accounts, cookie: str, suggested: Person | None = None) -> None:
        self._site = site
        self._accounts = accounts
        self._cookie = cookie
        self._suggested = suggested

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and _is_foreign(request):
            await JSONResponse({"error": "This page belongs to another site."}, 403)(scope, receive, send)
            return
        secret = request.cookies.get(self._cookie)
        existing = self._accounts.find(secret) if secret else None
        visit = Visit(existing, self._suggested)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and visit.session is not existing:
                self._set_cookie(visit.session, request, MutableHeaders(scope=message))
            await send(message)

        await self._site({**scope, "visit": visit}, receive, send_with_cookie)

    def _set_cookie(self, session: Session | None, request: HTTPConnection, headers: MutableHeaders) -> None:
        response = Response()
        if session is None or session.secret is None:
            response.delete_cookie(self._cookie, httponly=True, samesite="lax")
        else:
            # A browser-session cookie: the app itself enforces the expiry.
            secure = request.url.scheme == "https"
            response.set_cookie(self._cookie, session.secret, httponly=True, samesite="lax", secure=secure)
        headers.append("set-cookie", response.headers["set-cookie"])


def _is_foreign(request: HTTPConnection) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


class SignIn:
    """The login page, sign-in and sign-out. The app's `login.html` includes `app_kit/sign_in.html`.

    `values` returns further values of a request for the template. `on_sign_in` runs after each sign-in."""

    def __init__(
        self,
        accounts: Accounts,
        bell: Bellcast,
        templates: Path,
        home: str,
        *,
        values: Callable[[Request], dict[str, Any]] = lambda request: {},
        on_sign_in: Callable[[Request, Person], None] = lambda request, person: None,
    ) -> None:
        self._accounts = accounts
        self._bell = bell
        self._home = home
        self._values = values
        self._on_sign_in = on_sign_in
        self._wrong_passwords = WrongPasswords()
        loaders = [jinja2.FileSystemLoader(templates), jinja2.FileSystemLoader(HERE / "templates")]
        self._templates = jinja2.Environment(loader=jinja2.ChoiceLoader(loaders), autoescape=True)

    @property
    def routes(self) -> list[Route | Mount]:
        return [
            Route("/login", self.page),
            Route("/login", self.sign_in, methods=["POST"]),
            Route("/logout", self.sign_out, methods=["POST"]),
            Route("/enter", self.enter),
            Route("/app-kit/bellcast-load.js", FileResponse(LOADER)),
            Mount("/app-kit", StaticFiles(directory=HERE / "static")),
        ]

    async def page(self, request: Request) -> Response:
        return self._page(request)

    async def sign_in(self, request: Request) -> Response:
        form = dict(parse_qsl((await read_body(request, MAX_FORM_BYTES)).decode(errors="replace")))
        user_name, password = form.get("username", ""), form.get("password", "")
        address = request.client.host if request.client else ""
        if wait := self._wrong_passwords.wait(user_name, address):
            return self._page(request, user_name, "too_many", 429, wait)
        person = await run_in_threadpool(self._accounts.with_password, user_name, password)
        if person is None:
            self._wrong_passwords.count(user_name, address)
            return self._page(request, user_name, "wrong_password", 401)
        self._wrong_passwords.forget(user_name, address)
        visit_of(request).session = self._accounts.begin(person, request.headers.get("user-agent", ""))
        self._on_sign_in(request, person)
        return RedirectResponse(request.scope["root_path"] + self._home, 303)

    async def enter(self, request: Request) -> Response:
        """Sign in the person of this mount with the demo's password, for panes side by side, and go to the path `to`."""
        visit = visit_of(request)
        if visit.session is None and visit.suggested is not None:
            person = await run_in_threadpool(self._accounts.with_password, visit.suggested.key, DEMO_PASSWORD)
            if person is not None:
                visit.session = self._accounts.begin(person, request.headers.get("user-agent", ""))
                self._on_sign_in(request, person)
        path = request.query_params.get("to", "")
        is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
        return RedirectResponse(request.scope["root_path"] + (path if is_own else self._home), 303)

    async def sign_out(self, request: Request) -> Response:
        """End this session and its live connections."""
        visit = visit_of(request)
        ended, visit.session = visit.session, None
        task = None
        if ended is not None:
            self._accounts.end(ended)
            task = BackgroundTask(self.revoke)
        return RedirectResponse(request.scope["root_path"] + "/login", 303, background=task)

    def revoke(self) -> None:
        try:
            self._accounts.revoke(self._bell)
        except BellcastError as error:
            log.warning("revoke_postponed error=%s", error)  # the outbox thread tries again

    def _page(
        self,
        request: Request,
        user_name: str = "",
        reason: str = "",
        status: int = 200,
        wait: int = 0,
    ) -> Response:
        visit = visit_of(request)
        minutes = -(-wait // 60)
        people = sorted(self._accounts.people.values(), key=lambda person: person != visit.suggested)
        text = self._templates.get_template("login.html").render(
            people=people,
            suggested=visit.suggested,
            password=DEMO_PASSWORD,
            user_name=user_name or (visit.suggested.key if visit.suggested else ""),
            problem=PROBLEMS[reason].format(minutes=minutes),
            reason=reason,
            minutes=minutes,
            ended="ended" in request.query_params,
            **{"root": request.scope["root_path"]} | self._values(request),
        )
        headers = {"Retry-After": str(wait)} if wait else {}
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store", **headers})


async def not_signed_in(request: Request, error: Exception) -> Response:
    """Respond to NotSignedIn: 401 for API paths, the login page for all others."""
    if "/api/" in request.url.path:
        return JSONResponse({"error": "Please sign in."}, 401)
    return RedirectResponse(request.scope["root_path"] + "/login", 303)
