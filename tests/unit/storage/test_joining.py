"""What many ask for at one time is one script's work."""

from collections.abc import Sequence

from bellcast.storage import merging
from bellcast.storage.engine import Script
from bellcast.storage.locks import ScriptCall


@merging.mergeable(may=lambda items: items != ["alone"], rows=len)
def shout(items: Sequence[str]) -> Script[list[str]]:
    return [item.upper() for item in items]
    yield


def other(item: str) -> Script[str]:
    return item
    yield


def start(*items: str) -> ScriptCall:
    return ScriptCall(shout, (list(items),))


def test_those_that_follow_one_another_run_as_one_and_each_has_its_own_outcome() -> None:
    (run,) = merging.runs([start("a"), start("b", "c"), start("d")])
    assert merging.merge(run).args == (["a", "b", "c", "d"],)
    assert merging.split_results(run, ["A", "B", "C", "D"]) == [["A"], ["B", "C"], ["D"]]


def test_what_may_not_join_stands_between_those_that_may() -> None:
    starts = [
        start("a"),
        start("alone"),
        start("b"),
        ScriptCall(other, ("c",)),
        ScriptCall(other, ("d",)),
        start("e"),
        start("f"),
    ]
    runs = list(merging.runs(starts))
    assert [len(run) for run in runs] == [1, 1, 1, 1, 1, 2]
    assert [start for run in runs for start in run] == starts
    assert merging.merge(runs[1]) is starts[1]
    assert merging.split_results(runs[3], "c") == ["c"]


def test_one_failure_is_everybodys() -> None:
    failure = ValueError()
    assert merging.split_results([start("a"), start("b")], failure) == [failure, failure]


def test_all_may_join_only_if_each_may() -> None:
    assert merging.can_merge_all([start("a"), start("b")])
    assert not merging.can_merge_all([start("a"), start("alone")])
    assert not merging.can_merge_all([start("a"), ScriptCall(other, ("b",))])
    assert not merging.can_merge_all([ScriptCall(other, ("a",)), ScriptCall(other, ("b",))])


def test_a_script_is_as_large_as_its_rows() -> None:
    assert merging.size(start("a", "b")) == 2
    assert merging.size(ScriptCall(other, ("ab",))) == 1


@merging.mergeable(may=lambda items: items != ["alone"], rows=len, outright=shout, before=other)
def whisper(items: Sequence[str]) -> Script[list[str]]:
    return [item.lower() for item in items]
    yield


def quiet(*items: str) -> ScriptCall:
    return ScriptCall(whisper, (list(items),))


def test_what_one_statement_does_is_cut_into_so_many_rows() -> None:
    works = [quiet("a"), quiet("b", "c"), quiet("d")]
    assert merging.take_batch(works, lambda work: work, 3) == works[:2]
    assert merging.take_batch(works, lambda work: work, 100) == works
    assert merging.single_statement(works[:2]) == ScriptCall(shout, (["a", "b", "c"],))
    assert merging.prerequisite(works[:2]) == ScriptCall(other, (["a", "b", "c"],))


def test_one_that_is_larger_than_that_is_done_whole() -> None:
    works = [quiet("a", "b", "c"), quiet("d")]
    assert merging.take_batch(works, lambda work: work, 2) == works[:1]


def test_what_no_statement_does_stays_together() -> None:
    for works in ([start("a"), start("b")], [quiet("a"), quiet("alone")], [quiet("a"), ScriptCall(other, ("b",))]):
        assert merging.single_statement(works) is None
        assert merging.take_batch(works, lambda work: work, 1) == works
