"""Publishing: live events per second over Redis with the history of live events, against the same without it."""

from bellcast.bench import engines, figures, server_under_test
from bellcast.bench.client_pool import ClientPool
from bellcast.bench.engines import RunningEngine
from bellcast.bench.epoll_loop import EpollLoop
from bellcast.bench.figures import Figure, MissingFigure, median
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.http_load import LoadResult, drive_on_loop
from bellcast.bench.peers import AbsentError
from bellcast.bench.processes import cpu_per_item
from bellcast.bench.scales import Run
from bellcast.bench.target import MeasuredServer, event_data

NAME = "history"
GOAL_RATIO = 0.8

IN_FLIGHT = 64
WARM_UP = 500
SETTINGS: dict[str, dict[str, str]] = {"with": {}, "without": {"BELLCAST_TOPIC_HISTORY": "*=off"}}

PublishSample = tuple[float, dict[str, float]]  # events per second, and CPU per event by component


def measure(run: Run) -> list[Figure | MissingFigure]:
    """Alternate between servers with and without a history. One client follows the topic and must receive every event."""
    try:
        with engines.redis(run.deadline) as redis:
            rounds = [
                {place: _round(run, redis, place, number) for place in SETTINGS} for number in range(run.scale.rounds)
            ]
    except AbsentError as absent:
        return [MissingFigure(NAME, "live events with history", str(absent))]
    rates = {place: median([each[place][0] for each in rounds]) for place in SETTINGS}
    costs = {
        f"{place}_{part}": median([each[place][1][part] for each in rounds])
        for place in SETTINGS
        for part in rounds[0][place][1]
    }
    rate = Figure(
        benchmark=NAME,
        name=f"live events through REST with history on Redis, {IN_FLIGHT} in flight, against none",
        value=rates["with"] / rates["without"],
        unit="times",
        goal=figures.at_least(GOAL_RATIO),
        details={**{f"{place}_per_second": rate for place, rate in rates.items()}, **costs},
    )
    return [rate]


def _round(run: Run, redis: RunningEngine, place: str, number: int) -> PublishSample:
    run.report(f"round {number + 1} of {run.scale.rounds}: {run.scale.triggers:,} events, {place} history")
    settings, name = {"BELLCAST_BROKER": redis.url, **SETTINGS[place]}, f"{place}-{number}"
    with (
        server_under_test.running(run.folder, run.deadline, settings, name) as server,
        EpollLoop(run.deadline) as loop,
    ):
        target = server.target()
        pool = target.pool(loop, "websocket")
        pool.connect(iter([target.greeting("websocket", 0)]))
        _publish(target, loop, pool, WARM_UP)
        pool.reset_counts()
        before = {**server.used(), "redis": redis.process.cpu()}
        outcome = _publish(target, loop, pool, run.scale.triggers)
        return outcome.per_second, cpu_per_item(before, {**server.used(), "redis": redis.process.cpu()}, outcome.number)


def _publish(target: MeasuredServer, loop: EpollLoop, pool: ClientPool, number: int) -> LoadResult:
    requests = [target.publish(event_data(n)) for n in range(number)]
    outcome = drive_on_loop(loop, target.address, iter(requests), IN_FLIGHT).expect_status(202)
    pool.wait_for_events(number)
    if not pool.has_all_received(number):
        raise HandshakeRefused(f"{number} events were acknowledged, {pool.total} delivered")
    return outcome
