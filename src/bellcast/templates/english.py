"""The formats of English (CLDR), for installations without Babel (`bellcast[locales]`): the functions of `babel.dates` and
`babel.numbers` that the filters use. They ignore the locale."""

from datetime import datetime, time, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal

# By CLDR; the others are written as their codes.
SYMBOLS = {
    "CAD": "CA$",
    "CNY": "CN¥",
    "EUR": "€",
    "GBP": "£",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "MXN": "MX$",
    "USD": "$",
}
# Currencies without cents.
WHOLE = frozenset(["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"])
NARROW_SPACE = "\u202f"


def format_date(day: datetime, length: str, locale: str) -> str:
    if length == "short":
        return f"{day.month}/{day.day}/{day:%y}"
    month = f"{day:%b}" if length == "medium" else f"{day:%B}"
    return f"{day:%A}, " * (length == "full") + f"{month} {day.day}, {day.year}"


def format_time(moment: datetime | time, length: str, locale: str, tzinfo: tzinfo | None = None) -> str:
    zoned = moment.astimezone(tzinfo) if isinstance(moment, datetime) else moment
    seconds = "" if length == "short" else f":{zoned:%S}"
    zone = "" if length in ("short", "medium") else f" {zoned:%Z}" if isinstance(moment, datetime) else " UTC"
    return f"{zoned.hour % 12 or 12}:{zoned:%M}{seconds}{NARROW_SPACE}{zoned:%p}{zone}"


def get_datetime_format(length: str, locale: str) -> str:
    return "{1}, {0}"


def format_decimal(value: float, pattern: str | None, locale: str) -> str:
    """Format with the decimals of the pattern `#,##0.00`, or with up to three."""
    if pattern is not None:
        return _rounded(value, len(pattern.partition(".")[2]))
    text = _rounded(value, 3)
    return text.rstrip("0").rstrip(".")


def format_currency(value: float, currency: str, locale: str) -> str:
    text = _rounded(abs(value), 0 if currency in WHOLE else 2)
    symbol = SYMBOLS.get(currency, currency)
    return f"{'-' * (value < 0)}{symbol}{text}"


def _rounded(value: float, decimals: int) -> str:
    exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN, Context(prec=400))
    return f"{exact:,f}"
