"""What many ask for at one time is one script's work."""

from collections.abc import Sequence

from bellcast.storage import joining
from bellcast.storage.engine import Script
from bellcast.storage.touching import Start


@joining.joins(may=lambda items: items != ["alone"], rows=len)
def shout(items: Sequence[str]) -> Script[list[str]]:
    return [item.upper() for item in items]
    yield


def other(item: str) -> Script[str]:
    return item
    yield


def start(*items: str) -> Start:
    return Start(shout, (list(items),))


def test_those_that_follow_one_another_run_as_one_and_each_has_its_own_outcome() -> None:
    (run,) = joining.runs([start("a"), start("b", "c"), start("d")])
    assert joining.one(run).args == (["a", "b", "c", "d"],)
    assert joining.parted(run, ["A", "B", "C", "D"]) == [["A"], ["B", "C"], ["D"]]


def test_what_may_not_join_stands_between_those_that_may() -> None:
    starts = [
        start("a"),
        start("alone"),
        start("b"),
        Start(other, ("c",)),
        Start(other, ("d",)),
        start("e"),
        start("f"),
    ]
    runs = list(joining.runs(starts))
    assert [len(run) for run in runs] == [1, 1, 1, 1, 1, 2]
    assert [start for run in runs for start in run] == starts
    assert joining.one(runs[1]) is starts[1]
    assert joining.parted(runs[3], "c") == ["c"]


def test_one_failure_is_everybodys() -> None:
    failure = ValueError()
    assert joining.parted([start("a"), start("b")], failure) == [failure, failure]


def test_all_may_join_only_if_each_may() -> None:
    assert joining.may_join_all([start("a"), start("b")])
    assert not joining.may_join_all([start("a"), start("alone")])
    assert not joining.may_join_all([start("a"), Start(other, ("b",))])
    assert not joining.may_join_all([Start(other, ("a",)), Start(other, ("b",))])


def test_a_script_is_as_large_as_its_rows() -> None:
    assert joining.size(start("a", "b")) == 2
    assert joining.size(Start(other, ("ab",))) == 1


@joining.joins(may=lambda items: items != ["alone"], rows=len, outright=shout, before=other)
def whisper(items: Sequence[str]) -> Script[list[str]]:
    return [item.lower() for item in items]
    yield


def quiet(*items: str) -> Start:
    return Start(whisper, (list(items),))


def test_what_one_statement_does_is_cut_into_so_many_rows() -> None:
    works = [quiet("a"), quiet("b", "c"), quiet("d")]
    assert joining.stretch(works, lambda work: work, 3) == works[:2]
    assert joining.stretch(works, lambda work: work, 100) == works
    assert joining.outright(works[:2]) == Start(shout, (["a", "b", "c"],))
    assert joining.before(works[:2]) == Start(other, (["a", "b", "c"],))


def test_one_that_is_larger_than_that_is_done_whole() -> None:
    works = [quiet("a", "b", "c"), quiet("d")]
    assert joining.stretch(works, lambda work: work, 2) == works[:1]


def test_what_no_statement_does_stays_together() -> None:
    for works in ([start("a"), start("b")], [quiet("a"), quiet("alone")], [quiet("a"), Start(other, ("b",))]):
        assert joining.outright(works) is None
        assert joining.stretch(works, lambda work: work, 1) == works
