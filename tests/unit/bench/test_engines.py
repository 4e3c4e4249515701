"""The engines that nodes share are the run's own, or absent with a reason."""

import pytest

from bellcast.bench import engines
from bellcast.bench.epoll_loop import Deadline
from bellcast.bench.peers import AbsentError


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)", 15),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", 7),
        ("postgres (PostgreSQL) 18beta1", 18),
    ],
)
def test_the_version_is_read_from_what_an_engine_calls_itself(said, major):
    assert engines._major(said) == major


def test_an_engine_that_is_not_installed_is_absent_with_a_reason(monkeypatch):
    monkeypatch.setattr(engines, "_found", lambda name: None)
    with pytest.raises(AbsentError, match="needs the Debian packages"), engines.running(Deadline(5)):
        pass


def test_an_engine_that_is_too_old_is_absent_with_a_reason(monkeypatch):
    monkeypatch.setattr(engines, "_said", lambda program: "postgres (PostgreSQL) 13.4")
    with pytest.raises(AbsentError, match="needs 15 or newer"), engines.running(Deadline(5)):
        pass


def test_engines_end_with_their_block():
    with engines.running(Deadline(60)) as (postgres, redis):
        postgres.process.must_live()
        assert postgres.process.memory() > 0
    assert all(engine.process.has_ended for engine in (postgres, redis))
