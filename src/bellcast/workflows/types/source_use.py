"""How much event sources are used."""

from msgspec import Struct

HOUR_MS = 3_600_000
HOURS_A_DAY = 24
# The kind under which it is stored, and how long after the last event.
USES = "source-uses"
USES_MS = 30 * HOURS_A_DAY * HOUR_MS


class SourceUse(Struct, frozen=True):
    """How many events a source had in each hour since 1970 of about a day, and when the last one was (UTC milliseconds)."""

    hours: dict[int, int]
    last_at: int

    @staticmethod
    def of_event(at: int) -> "SourceUse":
        """Return the use by one event."""
        return SourceUse({at // HOUR_MS: 1}, at)

    def plus(self, later: "SourceUse") -> "SourceUse":
        """Add what another process or a later time had, without the hours that are over a day old."""
        last_at = max(self.last_at, later.last_at)
        numbers = {hour: self.hours.get(hour, 0) + later.hours.get(hour, 0) for hour in {*self.hours, *later.hours}}
        first = last_at // HOUR_MS - HOURS_A_DAY
        return SourceUse({hour: number for hour, number in numbers.items() if hour >= first}, last_at)

    def in_day(self, now: int) -> tuple[int, bool]:
        """Return the events of the last 24 hours: without those of the hour in which these began, and whether it had none."""
        begun = now // HOUR_MS - HOURS_A_DAY
        return sum(number for hour, number in self.hours.items() if hour > begun), begun not in self.hours
