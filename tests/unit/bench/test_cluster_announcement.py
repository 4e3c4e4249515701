"""An announcement larger than this machine allows is absent with a reason, and nothing starts."""

from benchmarks import cluster_announcement
from benchmarks.figures import MissingFigure
from benchmarks.scales import QUICK, BenchmarkRun
from msgspec.structs import replace


def measure(size, folder):
    scale = replace(QUICK, everyone=size)
    return cluster_announcement.measure(
        BenchmarkRun(scale=scale, deadline=None, folder=folder, store_folder=folder, report=print)
    )


def test_announcement_beyond_open_files_or_memory_is_absent(tmp_path):
    [figure] = measure(1_000_000_000, tmp_path)
    assert isinstance(figure, MissingFigure)
    assert "open files" in figure.reason or "GiB" in figure.reason
    assert list(tmp_path.iterdir()) == []
