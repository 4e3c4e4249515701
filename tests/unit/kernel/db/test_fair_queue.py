"""Weighted fair queueing by tenant."""

import math
from typing import NamedTuple

import pytest

from bellcast.kernel.db.writer import MAX_IDLE_TENANTS, SMALL_ROWS, FairQueue, may_share_transaction


class Work(NamedTuple):
    """Rows of one tenant."""

    tenant: str
    rows: int = 1

    @property
    def is_small(self) -> bool:
        return self.rows <= SMALL_ROWS


def serve(queue: FairQueue, number: int) -> list[Work]:
    served = []
    for _ in range(number):
        work = queue.next()
        assert work is not None
        queue.dequeue(work)
        served.append(work)
    return served


def tenants(queue: FairQueue, number: int) -> list[str]:
    return [work.tenant for work in serve(queue, number)]


def test_single_send_waits_only_for_work_that_has_begun() -> None:
    queue = FairQueue()
    for _ in range(2_400):
        queue.add(Work("acme", 250))
    assert tenants(queue, 10) == ["acme"] * 10
    queue.add(Work("globex"))
    assert tenants(queue, 2) == ["globex", "acme"]


def test_consecutive_large_sends_gain_no_advantage() -> None:
    queue = FairQueue()
    queue.add(Work("acme", 250))
    serve(queue, 1)
    queue.add(Work("acme", 250))  # after the first has ended
    queue.add(Work("globex"))
    assert tenants(queue, 2) == ["globex", "acme"]


def test_two_bulk_tenants_share_evenly_by_rows() -> None:
    queue = FairQueue()
    for _ in range(100):
        queue.add(Work("acme", 250))
        queue.add(Work("globex", 50))
    served = tenants(queue, 60)
    assert (served.count("acme"), served.count("globex")) == (10, 50)


def test_weight_is_a_share() -> None:
    queue = FairQueue()
    queue.weights = {"acme": 3.0}
    for _ in range(100):
        queue.add(Work("acme"))
        queue.add(Work("globex"))
    served = tenants(queue, 40)
    assert (served.count("acme"), served.count("globex")) == (30, 10)


def test_idle_time_earns_no_credit() -> None:
    queue = FairQueue()
    queue.add(Work("globex"))
    serve(queue, 1)
    for _ in range(100):
        queue.add(Work("acme"))
    serve(queue, 90)
    for _ in range(100):
        queue.add(Work("globex"))
    assert tenants(queue, 10).count("acme") == 5


def test_work_of_one_tenant_stays_in_order() -> None:
    queue = FairQueue()
    for rows in (3, 1, 2):
        queue.add(Work("acme", rows))
    assert [work.rows for work in serve(queue, 3)] == [3, 1, 2]


def test_small_work_runs_before_bulk_work_of_its_tenant() -> None:
    queue = FairQueue()
    for rows in (250, 1, 250, SMALL_ROWS):
        queue.add(Work("acme", rows))
    assert [work.rows for work in serve(queue, 4)] == [1, SMALL_ROWS, 250, 250]


def test_excluded_tenant_is_skipped() -> None:
    queue = FairQueue()
    queue.add(Work("acme"))
    assert queue.next(["acme"]) is None
    queue.add(Work("globex"))
    assert queue.next(["acme"]) == Work("globex")
    assert queue.next() == Work("acme")  # it still has its turn


def test_bulk_work_can_be_skipped() -> None:
    queue = FairQueue()
    queue.add(Work("acme", 1_000))
    assert queue.next(bulk=False) is None
    queue.add(Work("globex"))
    assert queue.next(bulk=False) == Work("globex")
    assert queue.next(["globex"]) == Work("acme", 1_000)


def test_excluded_tenant_still_gets_bulk_work_done() -> None:
    queue = FairQueue()
    queue.add(Work("acme", 1_000))
    queue.add(Work("acme"))
    assert queue.next() == Work("acme")
    assert queue.next(["acme"]) == Work("acme", 1_000)


def test_times_of_idle_tenants_are_dropped() -> None:
    queue = FairQueue()
    for number in range(10 * MAX_IDLE_TENANTS):
        queue.add(Work("always", 2))
        queue.add(Work(f"tenant{number}"))
        serve(queue, 2)
    assert not queue
    assert len(queue._idle_times) <= 2 * MAX_IDLE_TENANTS


def test_clear_returns_all_work() -> None:
    queue = FairQueue()
    work = [Work("acme"), Work("acme", 250), Work("globex")]
    for one in work:
        queue.add(one)
    assert queue.clear() == work
    assert not queue
    assert queue.next() is None
    queue.add(Work("last"))
    assert serve(queue, 1) == [Work("last")]


class Time(float):
    """A virtual time. Tuples compare whether their first parts are equal before they compare which is less."""

    comparisons = 0
    __hash__ = float.__hash__

    def __add__(self, duration: float) -> "Time":
        return Time(float(self) + duration)

    def __eq__(self, other: object) -> bool:
        Time.comparisons += 1
        return float(self) == other


@pytest.mark.thorough
def test_next_takes_logarithmic_steps_in_waiting_tenants() -> None:
    """A scan would compare every waiting tenant for each item: 10,000 comparisons."""
    number = 10_000
    queue = FairQueue()
    queue._now = Time()
    queue.weights = {f"tenant{at}": 1.0 + at % 7 for at in range(number)}
    for at in range(number):
        queue.add(Work(f"tenant{at}"))
        queue.add(Work(f"tenant{at}"))
        queue.add(Work(f"tenant{at}", 250))
    Time.comparisons = 0
    assert len(set(tenants(queue, number))) > number / 2
    assert number < Time.comparisons < number * 4 * math.log2(number)
    Time.comparisons = 0
    serve(queue, 2 * number)
    assert number < Time.comparisons < 2 * number * 4 * math.log2(number)
    assert not queue


def test_bulk_work_shares_no_transaction_with_other_tenants_or_small_work() -> None:
    assert may_share_transaction(Work("acme"), Work("globex", SMALL_ROWS))
    assert may_share_transaction(Work("acme", 250), Work("acme", 250))
    assert not may_share_transaction(Work("acme", 250), Work("globex"))
    assert not may_share_transaction(Work("acme", 250), Work("globex", 250))
    assert not may_share_transaction(Work("acme"), Work("acme", 250))
