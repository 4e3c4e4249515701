"""Generates the tables of `docs/design/scale.md` from the measured costs in `benchmarks/results`."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import reference_figures
from reference_figures import number

from bellcast.live.framing import websocket

PAGE = Path(__file__).parent.parent / "docs" / "design" / "scale.md"
STEPS = (1_000_000, 10_000_000, 100_000_000)
STORED = 1_000_000_000

# The assumed use, per connection.
SENDS_PER_DAY = 5
EVENTS_PER_DAY = 200
RESUMES_PER_DAY = 24
ANNOUNCEMENTS_PER_MONTH = 8
PEAK = 4  # load in the busiest hour, as a multiple of the mean
DAY, MONTH = 86_400, 30 * 86_400

# The assumed machines. Half of a core's time is left for peaks within a second, for maintenance, and for a lost machine.
LOAD = 0.5
POSTGRES_CORES, POSTGRES_BYTES = 32, 4e12
REDIS_CORES = 1  # one thread executes commands
CORES_PER_MACHINE = 16
PROCESS_CONNECTIONS = 20_000
WAVE_SECONDS = 60.0  # seconds until all clients have reconnected, or have received an announcement

# Not in the results, but from `bellcast bench fanout`.
EVENT_BYTES = 180
HEARTBEAT_SECONDS = 25
PACKET_BYTES = 52  # IPv4 and TCP headers with timestamps


class Cost(NamedTuple):
    """Microseconds of CPU per item."""

    server: float
    postgres: float = 0.0
    redis: float = 0.0


class Costs(NamedTuple):
    """Measured costs. `idle` is CPU per connection and second, `stored` bytes of PostgreSQL per notification."""

    connection_bytes: float
    idle: float
    delivery: Cost
    send: Cost
    bulk: Cost
    resume: Cost
    announcement: Cost
    stored: float | None


class Limit(NamedTuple):
    """How much of a limit a step uses in one cluster with one PostgreSQL and one Redis."""

    name: str
    value: str
    share: float


def page() -> str:
    """Return the page with tables from the newest figures."""
    return reference_figures.with_figures(PAGE, tables(reference_figures.runs()))


def tables(runs: list[Path]) -> str:
    selection = reference_figures.select(runs)
    costs = _costs({figure["name"]: figure for figure in selection.figures()})
    links = ", ".join(f"[{run.stem}](../../benchmarks/results/{run.name})" for run in dict.fromkeys(_used(selection)))
    parts = [
        _units(costs),
        _fleet(costs),
        _volume(costs),
        _limits(costs),
        f"Costs from {links}: {selection.machine()}.",
    ]
    return "\n" + "\n\n".join(parts) + "\n\n"


BENCHMARKS = ("fanout", "workers", "resuming", "everyone", "large")


def _used(selection: reference_figures.Selection) -> list[Path]:
    return [selection.newest[name] for name in BENCHMARKS if name in selection.newest]


def _costs(by_name: dict[str, Any]) -> Costs:
    def find(words: str) -> dict[str, Any] | None:
        return next((figure for name, figure in by_name.items() if words in name), None)

    def measured(words: str) -> dict[str, Any]:
        figure = find(words)
        if figure is None:
            raise LookupError(f"no figure {words!r} in the results")
        return figure

    def cost(words: str) -> Cost:
        details = measured(words)["details"]
        return Cost(*(details[f"{part}_cpu_us"] for part in Cost._fields))

    memory = measured("memory per idle authenticated connection")
    connections = memory["details"]["connections"]
    large = find("resume with one missed notification")
    return Costs(
        connection_bytes=memory["value"] * 1024,
        idle=1e6 * memory["details"]["idle_share_of_a_core"] / connections,
        delivery=Cost(measured("fan-out to 10,000 over WebSocket")["value"]),
        send=cost("2 workers on PostgreSQL, single POSTs"),
        bulk=cost("2 workers on PostgreSQL in bulk, 1,000 a request, JSON array"),
        resume=cost("clients of a killed node resume"),
        announcement=cost("one announcement to 100,000 connections on 6 workers: CPU"),
        stored=None if large is None else large["details"]["database_bytes"] / large["details"]["rows"],
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _units(costs: Costs) -> str:
    def row(name: str, cost: Cost) -> list[str]:
        return [name, *(f"{number(part)} µs" if part else "–" for part in cost), _bytes(EVENT_BYTES + PACKET_BYTES)]

    beat = costs.idle * HEARTBEAT_SECONDS
    ping = 2 * (len(websocket.PING) + PACKET_BYTES)  # and its pong, which is masked
    rows = [
        [
            "idle connection, per second",
            f"{number(costs.idle)} µs",
            "–",
            "–",
            f"{_bytes(costs.connection_bytes)} of memory",
        ],
        ["heartbeat and its reply", f"{number(beat)} µs", "–", "–", _bytes(ping)],
        row("delivery of a live event to one of many", costs.delivery),
        row("durable send, one per request", costs.send),
        row("durable send, 1,000 per request", costs.bulk),
        row("resume with one missed notification and three live events", costs.resume),
        row("announcement, per connection", costs.announcement),
    ]
    if costs.stored is not None:
        rows.append(["stored notification, indexes included", "–", "–", "–", f"{_bytes(costs.stored)} of disk"])
    return _table(["cost of one", "server", "PostgreSQL", "Redis", "bytes"], rows)


def _fleet(costs: Costs) -> str:
    sends = SENDS_PER_DAY / DAY * PEAK
    resumes = RESUMES_PER_DAY / DAY * PEAK
    events = EVENTS_PER_DAY / DAY * PEAK
    per_connection = Cost(
        costs.idle + events * costs.delivery.server + sends * costs.send.server + resumes * costs.resume.server,
        sends * costs.send.postgres + resumes * costs.resume.postgres,
        sends * costs.send.redis + resumes * costs.resume.redis,
    )
    cores = [[step * part / 1e6 / LOAD for step in STEPS] for part in per_connection]
    memory = [step * costs.connection_bytes for step in STEPS]
    rows = [
        ["processes", *(number(step / PROCESS_CONNECTIONS) for step in STEPS)],
        ["memory of the connections", *map(_bytes, memory)],
        ["server cores in the busiest hour", *map(_cores, cores[0])],
        ["machines of 16 cores, by CPU", *(str(math.ceil(each / CORES_PER_MACHINE)) for each in cores[0])],
        ["PostgreSQL cores", *map(_cores, cores[1])],
        ["Redis cores", *map(_cores, cores[2])],
    ]
    return _table(["connections", *(f"{step:,}" for step in STEPS)], rows)


def _volume(costs: Costs) -> str:
    event = EVENT_BYTES + PACKET_BYTES
    beats = MONTH / HEARTBEAT_SECONDS * 2 * (len(websocket.PING) + PACKET_BYTES)
    deliveries = 30 * (EVENTS_PER_DAY + SENDS_PER_DAY) + ANNOUNCEMENTS_PER_MONTH
    rows = [
        ["deliveries", *(_count(step * deliveries) for step in STEPS)],
        ["durable sends", *(_count(step * 30 * SENDS_PER_DAY) for step in STEPS)],
        ["network: deliveries", *(_bytes(step * deliveries * event) for step in STEPS)],
        ["network: heartbeats", *(_bytes(step * beats) for step in STEPS)],
    ]
    if costs.stored is not None:
        growth = [step * 30 * SENDS_PER_DAY * costs.stored for step in STEPS]
        rows.append(["stored, before retention", *map(_bytes, growth)])
    return _table(["in a month, with connections", *(f"{step:,}" for step in STEPS)], rows)


def _limits(costs: Costs) -> str:
    parts = []
    for step in STEPS:
        limits = sorted(_shares(costs, step), key=lambda limit: -limit.share)
        rows = [[limit.name, limit.value, f"{number(limit.share)} ×"] for limit in limits]
        parts.append(_table([f"{step:,} connections, {STORED:,} stored", "", "of the limit"], rows))
    return "\n\n".join(parts)


def _shares(costs: Costs, step: int) -> list[Limit]:
    def wave(name: str, microseconds: float, cores: int) -> Limit:
        seconds = step * microseconds / 1e6 / (cores * LOAD)
        return Limit(name, f"{number(seconds)} s", seconds / WAVE_SECONDS)

    limits = [
        wave("PostgreSQL: all clients reconnect", costs.resume.postgres, POSTGRES_CORES),
        wave("Redis: all clients reconnect", costs.resume.redis, REDIS_CORES),
        wave("PostgreSQL: an announcement to all clients", costs.announcement.postgres, POSTGRES_CORES),
        wave("Redis: an announcement to all clients", costs.announcement.redis, REDIS_CORES),
    ]
    if costs.stored is not None:
        size = STORED * costs.stored
        limits.append(Limit("PostgreSQL: disk", _bytes(size), size / POSTGRES_BYTES))
    return limits


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1_000:
            return f"{number(size)} {unit}"
        size /= 1_000
    return f"{number(size)} PB"


def _count(count: float) -> str:
    return f"{number(count / 1e9)} billion"


def _cores(cores: float) -> str:
    return number(cores)
