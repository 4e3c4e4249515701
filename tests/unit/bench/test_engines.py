"""The benchmark starts its own PostgreSQL and Redis, or reports why they are absent."""

import pytest
from benchmarks import engines
from benchmarks.epoll_loop import Deadline
from benchmarks.peers import AbsentError


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)", 15),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", 7),
        ("postgres (PostgreSQL) 18beta1", 18),
    ],
)
def test_major_version_is_parsed_from_the_version_line(version, major):
    assert engines._major(version) == major


def test_missing_engine_is_absent_with_a_reason(monkeypatch):
    monkeypatch.setattr(engines, "_find_program", lambda name: None)
    with pytest.raises(AbsentError, match="needs the Debian packages"), engines.running(Deadline(5)):
        pass


def test_outdated_engine_is_absent_with_a_reason(monkeypatch):
    monkeypatch.setattr(engines, "_version_text", lambda program: "postgres (PostgreSQL) 13.4")
    with pytest.raises(AbsentError, match="needs version 15 or newer"), engines.running(Deadline(5)):
        pass


@pytest.mark.thorough
def test_engines_stop_at_the_end_of_their_block():
    with engines.running(Deadline(60)) as (postgres, redis):
        postgres.process.check_alive()
        assert postgres.process.memory() > 0
    assert all(engine.process.has_exited for engine in (postgres, redis))
