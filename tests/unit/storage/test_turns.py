"""Tenants take turns."""

from typing import NamedTuple

from bellcast.storage.fair_queue import CLOCKS, SMALL_ROWS, FairQueue, may_share_transaction


class Work(NamedTuple):
    """So many rows of somebody's."""

    tenant: str
    size: int = 1

    @property
    def is_small(self) -> bool:
        return self.size <= SMALL_ROWS


def served(turns: FairQueue[Work], number: int) -> list[str]:
    found = []
    for _ in range(number):
        work = turns.next()
        assert work is not None
        turns.dequeue(work)
        found.append(work.tenant)
    return found


def test_one_row_waits_for_no_more_than_what_is_begun() -> None:
    turns = FairQueue[Work]()
    for _ in range(2_400):
        turns.add(Work("acme", 250))
    assert served(turns, 10) == ["acme"] * 10
    turns.add(Work("globex"))
    assert served(turns, 2) == ["globex", "acme"]


def test_who_comes_with_one_large_send_after_the_other_gains_nothing_by_that() -> None:
    turns = FairQueue[Work]()
    turns.add(Work("acme", 250))
    served(turns, 1)
    turns.add(Work("acme", 250))  # the next, once the first is done
    turns.add(Work("globex"))
    assert served(turns, 2) == ["globex", "acme"]


def test_two_who_send_much_share_evenly() -> None:
    turns = FairQueue[Work]()
    for _ in range(100):
        turns.add(Work("acme", 250))
        turns.add(Work("globex", 50))
    first = served(turns, 60)
    assert (first.count("acme"), first.count("globex")) == (10, 50)


def test_a_weight_is_a_share() -> None:
    turns = FairQueue[Work]()
    turns.weights = {"acme": 3.0}
    for _ in range(100):
        turns.add(Work("acme"))
        turns.add(Work("globex"))
    first = served(turns, 40)
    assert (first.count("acme"), first.count("globex")) == (30, 10)


def test_idleness_saves_nothing_up() -> None:
    turns = FairQueue[Work]()
    turns.add(Work("globex"))
    served(turns, 1)
    for _ in range(100):
        turns.add(Work("acme"))
    served(turns, 90)
    for _ in range(100):
        turns.add(Work("globex"))
    assert served(turns, 10).count("acme") == 5


def test_a_tenants_own_work_stays_in_order() -> None:
    turns = FairQueue[Work]()
    for size in (3, 1, 2):
        turns.add(Work("acme", size))
    taken = []
    while (work := turns.next()) is not None:
        turns.dequeue(work)
        taken.append(work.size)
    assert taken == [3, 1, 2]


def test_a_row_or_a_few_go_before_thousands_of_the_same_tenant() -> None:
    turns = FairQueue[Work]()
    for size in (250, 1, 250, SMALL_ROWS):
        turns.add(Work("acme", size))
    taken = []
    while (work := turns.next()) is not None:
        turns.dequeue(work)
        taken.append(work.size)
    assert taken == [1, SMALL_ROWS, 250, 250]


def test_who_has_enough_is_passed_over() -> None:
    turns = FairQueue[Work]()
    turns.add(Work("acme"))
    assert turns.next(["acme"]) is None
    turns.add(Work("globex"))
    assert turns.next(["acme"]) == Work("globex")


def test_where_there_is_no_room_for_heavy_work_what_is_light_goes_by() -> None:
    turns = FairQueue[Work]()
    turns.add(Work("acme", 1_000))
    assert turns.next(heavy=False) is None
    turns.add(Work("globex"))
    assert turns.next(heavy=False) == Work("globex")
    assert turns.next(["globex"]) == Work("acme", 1_000)


def test_who_has_enough_light_work_done_may_have_its_heavy_work_done() -> None:
    turns = FairQueue[Work]()
    turns.add(Work("acme", 1_000))
    turns.add(Work("acme"))
    assert turns.next() == Work("acme")
    assert turns.next(["acme"]) == Work("acme", 1_000)


def test_clocks_of_many_tenants_are_forgotten() -> None:
    turns = FairQueue[Work]()
    for number in range(3 * CLOCKS):
        turns.add(Work(f"tenant{number}"))
    served(turns, 3 * CLOCKS)
    assert not turns
    turns.add(Work("last"))
    assert turns.clear() == [Work("last")]
    assert not turns


def test_large_sends_share_a_transaction_with_nobody_elses() -> None:
    assert may_share_transaction(Work("acme"), Work("globex", SMALL_ROWS))
    assert may_share_transaction(Work("acme", 250), Work("acme", 250))
    assert not may_share_transaction(Work("acme", 250), Work("globex"))
