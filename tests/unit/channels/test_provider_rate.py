"""Times of messages beyond a provider's rate."""

import pytest

from bellcast.channels.types import ProviderRate
from bellcast.kernel import times

NOW = 1_781_085_600_000


class BusyRates:
    def take(self, key: str, rate: float, now: int) -> float:
        return 1 / rate


@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e-6])
def test_stored_rate_below_the_lowest_is_one_message_per_day(rate: float) -> None:
    limits = ProviderRate("p", rate, BusyRates())
    assert limits.due_at(NOW) == NOW + 86_400_000 + 1
    assert limits.due_at(NOW) == NOW + 2 * 86_400_000 + 1


def test_wait_ends_after_a_year() -> None:
    limits = ProviderRate("p", 1e-5, BusyRates())
    assert max(limits.due_at(NOW) for _ in range(1_000)) == NOW + times.MAX_AHEAD_SECONDS * 1000 + 1


def test_messages_wait_as_long_as_before_when_the_clock_is_set_back() -> None:
    limits = ProviderRate("p", 2, BusyRates())
    assert [limits.due_at(NOW) - NOW for _ in range(3)] == [501, 1_001, 1_501]
    assert limits.due_at(NOW - 10_800_000) == NOW - 10_800_000 + 2_001
