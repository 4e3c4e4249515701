"""The benchmark of topic history measures Redis and PostgreSQL, each against its goal."""

from types import SimpleNamespace

from benchmarks import engines, topic_history
from benchmarks.figures import MissingFigure
from benchmarks.peers import AbsentError

RUN = SimpleNamespace()


def compared(run, broker):
    return {engines.redis: 0.9, engines.postgres: 0.7}[broker], {"with_broker_cpu_us": 250.0}


def test_history_is_measured_on_both_brokers(monkeypatch):
    monkeypatch.setattr(topic_history, "_compared", compared)
    on_redis, on_postgres = topic_history.measure(RUN)
    assert ("Redis" in on_redis.name, on_redis.value, on_redis.goal.bound) == (True, 0.9, 0.8)
    assert ("PostgreSQL" in on_postgres.name, on_postgres.value, on_postgres.goal.bound) == (True, 250.0, 300)


def test_absent_broker_leaves_the_figure_of_the_other(monkeypatch):
    def without_redis(run, broker):
        if broker is engines.redis:
            raise AbsentError("needs Redis")
        return compared(run, broker)

    monkeypatch.setattr(topic_history, "_compared", without_redis)
    missing, measured = topic_history.measure(RUN)
    assert isinstance(missing, MissingFigure)
    assert measured.value == 250.0
