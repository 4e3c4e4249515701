"""Sessions, kept by the site: a cookie holds a session's secret name and nothing else, so that ending one ends it."""

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
# What a browser calls itself, by the first word found in its user agent.
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
        """What pages may call it: it opens nothing."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:16]

    @property
    def seconds_left(self) -> int:
        return int((self.ends_at - datetime.now(UTC)).total_seconds())


class Sessions:
    """Everybody who is signed in, on each of their devices."""

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
        """Somebody's devices, the newest first."""
        theirs = [each for each in self._sessions.values() if each.person == person and self.find(each.secret)]
        return sorted(theirs, key=lambda session: session.began_at, reverse=True)

    def end(self, session: Session) -> None:
        self._sessions.pop(session.secret, None)


@dataclass
class Visit:
    """One request's session. Whoever changes it signs somebody in or out."""

    session: Session | None


class Entrance:
    """The site behind one cookie. A seat has somebody in it from the start."""

    def __init__(self, site: ASGIApp, sessions: Sessions, cookie: str, seat: Person | None = None) -> None:
        self._site = site
        self._sessions = sessions
        self._cookie = cookie
        self._seat = seat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = HTTPConnection(scope)
        brought = self._sessions.find(asked.cookies.get(self._cookie, ""))
        visit = Visit(brought)
        if brought is None and self._seat is not None:
            visit.session = self._sessions.begin(self._seat, asked.headers.get("user-agent", ""))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and visit.session is not brought:
                self._keep(visit.session, asked, MutableHeaders(scope=message))
            await send(message)

        await self._site({**scope, "visit": visit, "seated": self._seat is not None}, receive, answer)

    def _keep(self, session: Session | None, asked: HTTPConnection, headers: MutableHeaders) -> None:
        response = Response()
        if session is None:
            response.delete_cookie(self._cookie, httponly=True, samesite="lax")
        else:
            # Without a time of its own it goes with the browser; the site knows when it ends.
            secure = asked.url.scheme == "https"
            response.set_cookie(self._cookie, session.secret, httponly=True, samesite="lax", secure=secure)
        headers.append("set-cookie", response.headers["set-cookie"])


def _device(user_agent: str) -> str:
    browser = next((name for word, name in BROWSERS.items() if word in user_agent), "A browser")
    system = next((name for word, name in SYSTEMS.items() if word in user_agent), "a computer")
    return f"{browser} on {system}"
