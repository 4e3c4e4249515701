"""More than fits here is absent, with the reason, and nothing is started."""

from msgspec.structs import replace

from bellcast.bench import cluster_announcement
from bellcast.bench.figures import MissingFigure
from bellcast.bench.scales import QUICK, Run


def measured(size, folder):
    scale = replace(QUICK, everyone=size)
    return cluster_announcement.measure(Run(scale=scale, deadline=None, folder=folder, stock=folder, say=print))


def test_more_than_the_open_files_or_the_memory_of_this_machine_is_absent(tmp_path):
    [found] = measured(1_000_000_000, tmp_path)
    assert isinstance(found, MissingFigure)
    assert "open files" in found.reason or "GiB" in found.reason
    assert list(tmp_path.iterdir()) == []
