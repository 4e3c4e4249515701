"""The site's languages: their texts, dates and money, and the language of each person.

A text is in `static/texts/{language}.json` under its key, for the server and the scripts. A text with a `count` has a
form for each CLDR plural category of its language. A person's language is the one they chose, or that of the browser
in which they first signed in."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from sqlite3 import Connection
from types import MappingProxyType
from urllib.parse import parse_qsl

import babel
import msgspec
from babel import dates, numbers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bellcast.client import Bellcast
from bellcast.examples.app_kit import Database, Visit

from .identity import CAST, TENANT, ZONE, Person
from .request_body import body

HERE = Path(__file__).parent
SCHEMA = """
CREATE TABLE IF NOT EXISTS languages (person TEXT PRIMARY KEY, language TEXT NOT NULL);
"""
YEAR_SECONDS = 365 * 24 * 3600
_LANGUAGE_RANGE = re.compile(r"([A-Za-z]{1,8})[A-Za-z0-9-]*\s*(?:;\s*q=([01](?:\.\d{0,3})?))?")
# A path without an empty segment, which a browser would read as the name of a host.
_LOCAL_PATH = re.compile(r"(/[\w.~-]+)+/?")


class Language:
    """Texts, dates and money in a language. `name` is in the language itself."""

    def __init__(self, code: str, name: str) -> None:
        self.code = code
        self.name = name
        self._locale = babel.Locale(code)
        file = HERE / "static" / "texts" / f"{code}.json"
        self.texts: Mapping[str, str | dict[str, str]] = msgspec.json.decode(
            file.read_bytes(), type=dict[str, str | dict[str, str]]
        )

    @property
    def direction(self) -> str:
        return self._locale.text_direction

    def text(self, key: str, *, count: int = 0, **values: object) -> str:
        form = self.texts[key]
        if isinstance(form, dict):
            form = form[self._locale.plural_form(count)]
        return form.format(count=count, **values)

    def money(self, amount: str) -> str:
        return numbers.format_currency(Decimal(amount), "EUR", locale=self._locale)

    def number(self, value: str) -> str:
        return numbers.format_decimal(Decimal(value), "0.0", locale=self._locale)

    def date(self, moment: datetime, pattern: str = "date.when") -> str:
        """Format a time by the CLDR pattern in the text `pattern`."""
        return dates.format_datetime(moment, self.text(pattern), tzinfo=moment.tzinfo, locale=self._locale)


ENGLISH = Language("en", "English")
LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {language.code: language for language in (ENGLISH, Language("de", "Deutsch"), Language("ar", "العربية"))}
)


def language_of(request: HTTPConnection) -> Language:
    """Return the language of a page: of the signed-in person, or of the browser."""
    visit: Visit | None = request.scope.get("visit")  # the page with two people side by side has no session
    if visit and visit.session:
        database: Database = request.app.state.database
        row = database.row("SELECT language FROM languages WHERE person = ?", visit.session.person.key)
        if row:
            return LANGUAGES[row["language"]]
    return _chosen(request) or _accepted(request.headers.get("accept-language", ""))


def recipient_language(connection: Connection, person: str) -> Language:
    """Return the language in which a person is notified."""
    row = connection.execute("SELECT language FROM languages WHERE person = ?", [person]).fetchone()
    return LANGUAGES[row["language"]] if row else ENGLISH


def keep_language(request: Request, person: Person) -> None:
    """Store the language that the person chose before the sign-in, or at the first one, the browser's."""
    chosen = _chosen(request)
    with request.app.state.database.transaction() as connection:
        if chosen:
            _store(connection, person, chosen)
        else:
            accepted = _accepted(request.headers.get("accept-language", ""))
            connection.execute("INSERT OR IGNORE INTO languages VALUES (?, ?)", [person.key, accepted.code])


async def choose_language(request: Request) -> Response:
    """Change the language, of the signed-in person and of this browser's sign-in page, and return to the page."""
    form = dict(parse_qsl((await body(request)).decode(errors="replace")))
    path = form.get("path", "")
    root = request.scope["root_path"]
    response = RedirectResponse(root + (path if _LOCAL_PATH.fullmatch(path) else "/"), 303)
    language = LANGUAGES.get(form.get("language", ""))
    if language is None:
        return response
    visit: Visit = request.scope["visit"]
    if visit.session:
        with request.app.state.database.transaction() as connection:
            _store(connection, visit.session.person, language)
    secure = request.url.scheme == "https"
    response.set_cookie(
        _cookie(request), language.code, max_age=YEAR_SECONDS, httponly=True, samesite="lax", secure=secure
    )
    return response


class Recipients:
    """Writes the people to Bellcast, which then knows them before their first sign-in, and again after a choice of another language."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[str, str] = {}

    def write(self, bell: Bellcast) -> None:
        chosen = dict(map(tuple, self._database.rows("SELECT person, language FROM languages")))
        for person in CAST.values():
            locale = chosen.get(person.key, ENGLISH.code)
            if self._written.get(person.key) != locale:
                bell.recipients.put(
                    person.key, tenant=TENANT, name=person.name, email=person.email, roles=[person.role],
                    locale=locale, timezone=ZONE.key,
                )  # fmt: skip
                self._written[person.key] = locale


def _store(connection: Connection, person: Person, language: Language) -> None:
    connection.execute("INSERT OR REPLACE INTO languages VALUES (?, ?)", [person.key, language.code])


def _cookie(request: HTTPConnection) -> str:
    """Return the name of the cookie, which differs for each person on the side-by-side page."""
    root: str = request.scope["root_path"]
    return "gable_language" + root.replace("/", "_")


def _chosen(request: HTTPConnection) -> Language | None:
    return LANGUAGES.get(request.cookies.get(_cookie(request), ""))


def _accepted(header: str) -> Language:
    """Return the best language of an Accept-Language header (RFC 9110, section 12.5.4), or English."""
    ranges = [(float(quality or 1), code.lower()) for code, quality in _LANGUAGE_RANGE.findall(header)]
    for quality, code in sorted(ranges, key=lambda entry: -entry[0]):
        if quality and code in LANGUAGES:
            return LANGUAGES[code]
    return ENGLISH


routes = [Route("/language", choose_language, methods=["POST"])]
