"""Results are saved with machine and commit; a second run of the day is merged into the first."""

import msgspec
import pytest
from benchmarks import record
from benchmarks.figures import Figure, at_most
from benchmarks.scales import FULL
from benchmarks.suite import BenchmarkResult


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "CHECKOUT", tmp_path)
    return tmp_path


def result(name, value):
    figure = Figure(benchmark=name, name="cost", value=value, unit="µs", goal=at_most(2), peers={"nchan": 4.0})
    return BenchmarkResult(
        name=name, started="2026-01-01T00:00:00+00:00", load=0.0, scale=FULL, figures=[figure], absent=[]
    )


def save(checkout, *results):
    run = {**record.build(results), "commit": {"id": "0123456789", "dirty": True}}
    return msgspec.json.decode(record.save(run).read_bytes())


def test_figures_are_saved_with_verdict_and_ratio(checkout):
    [figure] = save(checkout, result("fanout", 1.0))["benchmarks"]["fanout"]["figures"]
    assert (figure["verdict"], figure["ratios"]) == ("reached", {"nchan": 0.25})


def test_second_run_replaces_its_benchmarks_and_keeps_the_rest(checkout):
    save(checkout, result("fanout", 1.0), result("storm", 1.0))
    benchmarks = save(checkout, result("fanout", 3.0))["benchmarks"]
    assert {name: benchmark["figures"][0]["value"] for name, benchmark in benchmarks.items()} == {
        "fanout": 3.0,
        "storm": 1.0,
    }


def test_nothing_is_saved_outside_a_checkout(checkout):
    run = record.build([result("fanout", 1.0)])
    assert run["commit"] is None
    assert record.save(run) is None
    assert list(checkout.iterdir()) == []


def test_record_describes_the_machine():
    machine = record.machine()
    assert machine["cores"] >= 1
    assert machine["disk"] != "unknown"
    assert machine["packages"]["msgspec"]
