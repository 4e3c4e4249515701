"""Server-side sessions: the cookie contains only a random key, so the site can end a session at any time."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .people import Person

LIFETIME = timedelta(hours=8)
# Browser and system names by the first matching word in the user agent.
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {"Android": "Android", "iPhone": "an iPhone", "iPad": "an iPad", "Mac OS": "a Mac", "Windows": "Windows", "Linux": "Linux"}  # fmt: skip


@dataclass(frozen=True)
class Session:
    secret: str
    person: Person
    device: str
    ends_at: datetime
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def id(self) -> str:
        """Public id of the session for pages; it does not authenticate."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:16]

    @property
    def seconds_left(self) -> int:
        return int((self.ends_at - datetime.now(UTC)).total_seconds())


class Sessions:
    """All sessions, in memory."""

    def __init__(self, lifetime: timedelta = LIFETIME) -> None:
        self._lifetime = lifetime
        self._sessions: dict[str, Session] = {}

    def begin(self, person: Person, user_agent: str) -> Session:
        for each in [each for each in self._sessions.values() if each.ends_at <= datetime.now(UTC)]:
            self.end(each)
        session = Session(secrets.token_urlsafe(32), person, _device(user_agent), datetime.now(UTC) + self._lifetime)
        self._sessions[session.secret] = session
        return session

    def find(self, secret: str) -> Session | None:
        session = self._sessions.get(secret)
        return session if session and datetime.now(UTC) < session.ends_at else None

    def of(self, person: Person) -> list[Session]:
        """Return a person's sessions, newest first."""
        theirs = [each for each in self._sessions.values() if each.person == person and self.find(each.secret)]
        return sorted(theirs, key=lambda session: session.began_at, reverse=True)

    def end(self, session: Session) -> None:
        self._sessions.pop(session.secret, None)


@dataclass
class Visit:
    """The session of a request. Assign `session` to sign in or out."""

    session: Session | None


class SessionMiddleware:
    """Reads and writes the session cookie. With `person`, visitors are signed in as that person."""

    def __init__(self, site: ASGIApp, sessions: Sessions, cookie: str, person: Person | None = None) -> None:
        self._site = site
        self._sessions = sessions
        self._cookie = cookie
        self._person = person

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        existing = self._sessions.find(request.cookies.get(self._cookie, ""))
        visit = Visit(existing)
        if existing is None and self._person is not None:
            visit.session = self._sessions.begin(self._person, request.headers.get("user-agent", ""))

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and visit.session is not existing:
                self._set_cookie(visit.session, request, MutableHeaders(scope=message))
            await send(message)

        await self._site({**scope, "visit": visit, "seated": self._person is not None}, receive, send_with_cookie)

    def _set_cookie(self, session: Session | None, request: HTTPConnection, headers: MutableHeaders) -> None:
        response = Response()
        if session is None:
            response.delete_cookie(self._cookie, httponly=True, samesite="lax")
        else:
            # A browser-session cookie: the site itself enforces the expiry.
            secure = request.url.scheme == "https"
            response.set_cookie(self._cookie, session.secret, httponly=True, samesite="lax", secure=secure)
        headers.append("set-cookie", response.headers["set-cookie"])


def _device(user_agent: str) -> str:
    browser = next((name for word, name in BROWSERS.items() if word in user_agent), "A browser")
    system = next((name for word, name in SYSTEMS.items() if word in user_agent), "a computer")
    return f"{browser} on {system}"
