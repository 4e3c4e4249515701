"""Fair shares of slots."""

from collections import Counter

from bellcast.kernel.jobs import NORMAL, Job, JobGroup
from bellcast.kernel.jobs.slots import TENANT_SLOTS, Room, TenantShares


def group(tenant: str, kind: str = "k") -> JobGroup:
    return JobGroup(NORMAL, tenant, kind, 0)


def rooms(groups: list[JobGroup], **free: int) -> dict[JobGroup, Room]:
    """Return the room of the groups, which those of one kind share."""
    of_kinds = {one.kind: Room(free.get(one.kind, 100)) for one in groups}
    return {one: of_kinds[one.kind] for one in groups}


def serve(shares: TenantShares, groups: list[JobGroup], free: int, **room: int) -> Counter[tuple[str, str]]:
    """Allocate slots and use all of them."""
    allocated = shares.allocate(groups, free, Counter(), rooms(groups, **room))
    jobs = [
        Job(id="", kind=group.kind, payload=b"", run_at=0, created_at=0, tenant=group.tenant)
        for group, limit in allocated.items()
        for _ in range(limit)
    ]
    shares.charge(jobs)
    return Counter((job.tenant, job.kind) for job in jobs)


def test_tenants_share_slots_equally() -> None:
    shares = TenantShares(lambda tenant: 1.0)
    assert serve(shares, [group("a"), group("b")], 10) == {("a", "k"): 5, ("b", "k"): 5}


def test_shares_follow_weights_over_single_slots() -> None:
    shares = TenantShares({"a": 3.0, "b": 1.0}.__getitem__)
    served = Counter[tuple[str, str]]()
    for _ in range(400):
        served += serve(shares, [group("a"), group("b")], 1)
    assert abs(served["a", "k"] - 300) <= 3


def test_newcomer_is_next_and_does_not_catch_up() -> None:
    shares = TenantShares(lambda tenant: 1.0)
    for _ in range(100):
        serve(shares, [group("a")], 10)
    assert serve(shares, [group("a"), group("b")], 20)["b", "k"] in range(9, 21)
    assert serve(shares, [group("a"), group("b")], 20)["a", "k"] in range(9, 12)


def test_one_tenant_leaves_slots_for_others() -> None:
    shares = TenantShares(lambda tenant: 1.0)
    assert serve(shares, [group("a")], 96) == {("a", "k"): TENANT_SLOTS}
    assert shares.allocate([group("a")], 96, {"a": TENANT_SLOTS - 1}, rooms([group("a")])) == {group("a"): 1}


def test_kinds_of_a_tenant_take_turns_within_their_limits() -> None:
    shares = TenantShares(lambda tenant: 1.0)
    assert serve(shares, [group("a"), group("a", "k2")], 10) == {("a", "k"): 5, ("a", "k2"): 5}
    assert serve(shares, [group("a"), group("a", "k2")], 10, k=2) == {("a", "k"): 2, ("a", "k2"): 8}
    assert serve(shares, [group("a")], 10, k=0) == {}
