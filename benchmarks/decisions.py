"""The time of one preference decision, without I/O."""

import itertools
import time
from zoneinfo import ZoneInfo

from bellcast.inbox.types import NotificationType
from bellcast.preferences.decision import Layers, Occasion, decide
from bellcast.preferences.types import Preferences, QuietHours
from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.scales import BenchmarkRun

NAME = "decisions"
GOAL_US = 10
# Noon in UTC, outside of quiet hours.
NOW = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000


def measure(run: BenchmarkRun) -> list[Figure]:
    """Decide on four channels of a notification. All three documents set switches, and every rule is evaluated."""
    number = run.scale.decisions
    layers = Layers(
        recipient=Preferences(types={"other": {"email": False}}, digest={"other": "daily"}),
        tenant=Preferences(channels={"sms": True}, workflows={"other": {"push": False}}),
        project=Preferences(quiet_hours=QuietHours(start="22:00", end="07:00")),
        rules=NotificationType(defaults={"push": True}),
    )
    zone = ZoneInfo("Europe/Vienna")
    occasions = [
        Occasion(channel=channel, type="booking", priority="normal", now=NOW, zone=zone, workflow="booking")
        for channel in ("email", "sms", "push", "chat")
    ]
    run.report(f"{number:,} decisions")
    started = time.process_time()
    for occasion in itertools.islice(itertools.cycle(occasions), number):
        decide(occasion, layers)
    seconds = time.process_time() - started
    return [
        Figure(
            benchmark=NAME,
            name="one preference decision, three documents and quiet hours: CPU",
            value=1e6 * seconds / number,
            unit="µs",
            goal=figures.at_most(GOAL_US),
        )
    ]
