"""Fuzzing of cron expressions."""

from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from bellcast.workflows import schedule_times
from tests.fuzz.runner import fuzz

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Vienna", "Australia/Lord_Howe", "Africa/Casablanca")]
NOW = 1_800_000_000_000
PARTS = st.sampled_from(
    ["*", "*/5", "0", "59", "60", "1-5", "5-1", "1,2", "L", "MON", "mon-fri", "5#2", "#", "*/0", "*/99999", "29", "30", "31", "2", "0-59/7", "?",
     "-", ",", "/", "\u0663", "9" * 5_000, "1-", "@daily", "FEB"]
)  # fmt: skip
EXPRESSIONS = st.lists(PARTS | st.text(max_size=4), min_size=4, max_size=6).map(" ".join) | st.text(max_size=20)
INPUTS = st.tuples(EXPRESSIONS, st.sampled_from(ZONES), st.integers(0, 3_000_000_000_000))
SEEDS = [
    (text, ZONES[0], NOW)
    for text in ("", "* * * * *", "0 0 29 2 *", "0 0 31 2 *", "0 0 L 2 *", "0 2 * * *", "* " * 5_000, "0 0 29 2 MON#5")
]


def check(input_: tuple[str, ZoneInfo, int]) -> None:
    """An expression is refused, or has a next time after every time."""
    expression, zone, moment = input_
    if schedule_times.is_cron(expression):
        assert next(schedule_times.cron_times_after(expression, zone, moment)) > moment
        found = schedule_times.cron_times_between(expression, zone, moment - 86_400_000, moment, 3)
        assert found == sorted(found)
        assert all(moment - 86_400_000 < one <= moment for one in found)


def test_cron_expression_is_refused_or_fires() -> None:
    fuzz("cron expressions", INPUTS, check, SEEDS)
