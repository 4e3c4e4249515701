"""The filters `date`, `time`, `datetime`, `number` and `money`: values written in the language of the text and the
recipient's zone. `link` and `email_url`: URLs. `holds`: conditions of blocks."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from datetime import time as clock_time
from functools import lru_cache
from html import unescape
from typing import Any, Literal

import msgspec
import structlog

from bellcast.kernel import validation
from bellcast.kernel.limits import Limits
from bellcast.templates import conditions
from bellcast.templates.budget import RENDERING, TemplateError

try:
    import babel
    from babel import dates, numbers
except ImportError:  # the data of all languages takes 33 MB
    from bellcast.templates import english as dates  # type: ignore[no-redef]  # the same functions, in English only
    from bellcast.templates import english as numbers  # type: ignore[no-redef]  # the same functions, in English only

    babel = None  # type: ignore[assignment]  # an optional module is None without its extra

log = structlog.get_logger(__name__)

DEFAULT_LOCALE = "en"
Length = Literal["full", "long", "medium", "short"]
LENGTHS = ("full", "long", "medium", "short")
# The default length of each filter: "Jun 10, 2026, 2:00 PM".
MEDIUM = "medium"
EMAIL_SCHEMES = ("https://", "http://", "mailto:", "tel:")
SHORT = "short"


@lru_cache(1000)
def find_locale(name: str) -> Any:
    """Return the closest locale in CLDR: `de-AT`, `de`, else English."""
    tag = name.replace("_", "-")
    if babel is None:
        if tag.partition("-")[0] != DEFAULT_LOCALE:
            log.warning(
                "locale_data_missing", locale=name, used=DEFAULT_LOCALE, advice="pip install 'bellcast[locales]'"
            )
        return DEFAULT_LOCALE
    while tag:
        try:
            return _loaded(babel.Locale.parse(tag, sep="-"))
        except (ValueError, TypeError, babel.UnknownLocaleError):
            tag = tag.rpartition("-")[0]
    return _loaded(babel.Locale(DEFAULT_LOCALE))


def _loaded(locale: Any) -> Any:
    """Load the data of a locale. Otherwise babel would load it on first use, within the time limit of a rendering."""
    _ = locale.number_symbols
    return locale


def _moment(value: Any) -> datetime:
    """Parse a time: RFC 3339 text or seconds since 1970. A text without an offset is local time."""
    zone = RENDERING.get().zone
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, zone)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
    except (ValueError, OverflowError, OSError):
        pass
    raise TemplateError(f"{_shown(value)} is not a time: expected RFC 3339 text or seconds since 1970")


def _number(value: Any) -> float | int:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TemplateError(f"{_shown(value)} is not a number")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:50]


def _length(length: str) -> Length:
    if length not in LENGTHS:
        raise TemplateError(f"{_shown(length)} is not a length: expected full, long, medium or short")
    return length  # type: ignore[return-value]  # checked


def date(value: Any, length: str = MEDIUM) -> str:
    """`10 Jun 2026`."""
    return dates.format_date(_moment(value), _length(length), locale=RENDERING.get().locale)


def time(value: Any, length: str = SHORT) -> str:
    """`14:00`. Also accepts a time of day (`14:00`)."""
    if isinstance(value, str) and len(value) <= len("14:00:00"):
        try:
            return dates.format_time(clock_time.fromisoformat(value), _length(length), locale=RENDERING.get().locale)
        except ValueError:
            pass
    return dates.format_time(
        _moment(value), _length(length), tzinfo=RENDERING.get().zone, locale=RENDERING.get().locale
    )


def date_and_time(value: Any, length: str = MEDIUM) -> str:
    """`10 Jun 2026, 14:00`: the date in the given length, the time without seconds."""
    moment, locale = _moment(value), RENDERING.get().locale
    pattern = dates.get_datetime_format(_length(length), locale)
    day = dates.format_date(moment, _length(length), locale=locale)
    return str(pattern).replace("'", "").replace("{0}", time(value)).replace("{1}", day)


def number(value: Any, decimals: int | None = None) -> str:
    """`1,234.5`, with a fixed number of decimals if given."""
    pattern = None
    if decimals is not None:
        if isinstance(decimals, bool) or not isinstance(decimals, int) or not 0 <= decimals <= 10:
            raise TemplateError(f"{_shown(decimals)} is not a number of decimals: expected 0 to 10")
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return numbers.format_decimal(_number(value), pattern, locale=RENDERING.get().locale)


def money(value: Any, currency: str = "EUR") -> str:
    """`€1,234.50` for an ISO 4217 currency."""
    if not isinstance(currency, str) or not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise TemplateError(f"{_shown(currency)} is not a currency: expected ISO 4217 such as EUR")
    return numbers.format_currency(_number(value), currency.upper(), locale=RENDERING.get().locale)


def link(value: Any) -> str:
    """Return a URL that is a path or has the scheme http, https, mailto or tel. Others, such as javascript, run code."""
    if not isinstance(value, str) or any(validation.url("link", value, Limits(url=0))):
        raise TemplateError("link: must be a path or an http, https, mailto or tel URL")
    return value


def email_url(value: Any) -> Any:
    """Return a URL that an e-mail may have: http, https, mailto or tel. Others are dropped."""
    return value if unescape(str(value)).strip().lower().startswith(EMAIL_SCHEMES) else ""


def holds(condition: str, **values: Any) -> bool:
    """Evaluate a condition, given as JSON, with its variables by name."""
    return conditions.evaluate(msgspec.json.decode(condition), values)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "date": date,
    "time": time,
    "datetime": date_and_time,
    "number": number,
    "money": money,
    "link": link,
    "email_url": email_url,
    "holds": holds,
}
