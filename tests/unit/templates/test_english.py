"""The formats of English without Babel are those of Babel."""

import subprocess
import sys
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from babel import dates, numbers

from bellcast.templates import english

ENGLISH = "en"
LENGTHS = ("full", "long", "medium", "short")
MOMENTS = [datetime(2026, 6, 1, 0, 5, 9, tzinfo=UTC), datetime(2027, 12, 31, 23, 59, tzinfo=ZoneInfo("Asia/Tokyo"))]
NUMBERS = [0, 1234.5, 1_234_567, 0.12345, 2.0005, 2.5, -5, -0.125, 1e20]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_english_dates_equal_those_of_babel(moment: datetime, length: str) -> None:
    assert english.format_date(moment, length, ENGLISH) == dates.format_date(moment, length, "en")
    assert english.get_datetime_format(length, ENGLISH) == str(dates.get_datetime_format(length, "en"))


@pytest.mark.parametrize("length", ["medium", "short"])  # the others name the zone, which needs data
@pytest.mark.parametrize("moment", [*MOMENTS, time(12, 0)], ids=str)
def test_english_times_equal_those_of_babel(moment: datetime | time, length: str) -> None:
    zone = ZoneInfo("America/New_York")
    assert english.format_time(moment, length, ENGLISH, zone) == dates.format_time(moment, length, zone, "en")


def test_english_times_name_their_zone() -> None:
    assert english.format_time(MOMENTS[0], "long", ENGLISH, UTC) == "12:05:09\u202fAM UTC"


@pytest.mark.parametrize("number", NUMBERS)
def test_english_numbers_and_money_equal_those_of_babel(number: float) -> None:
    for pattern in (None, "#,##0", "#,##0.00"):
        assert english.format_decimal(number, pattern, ENGLISH) == numbers.format_decimal(number, pattern, "en")
    for currency in ("EUR", "USD", "JPY", "CHF", "ISK", "MXN"):
        assert english.format_currency(number, currency, ENGLISH) == numbers.format_currency(
            number, currency, locale="en"
        )


def test_templates_without_babel_use_english_and_log_the_missing_language() -> None:
    program = """
import sys
sys.modules["babel"] = None  # as if not installed
from bellcast.templates.rendering import Renderer
from bellcast.templates.types import Variables
values = Variables(values={"at": "2026-06-10T12:00:00Z"}, locale="de-AT", zone="Europe/Vienna")
print(Renderer(values).render("{{ at | datetime }}|{{ 1234.5 | money }}|{{ 2 | number(1) }}"))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "Jun 10, 2026, 2:00\u202fPM|€1,234.50|2.0"
    assert "locale_data_missing" in result.stdout
    assert "bellcast[locales]" in result.stdout
