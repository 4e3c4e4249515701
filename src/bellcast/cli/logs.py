"""Logging of Bellcast and its libraries to stderr: as text for the console, or as JSON for a log collector."""

import contextlib
import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bellcast.cli import output

if TYPE_CHECKING:  # imported when the command runs, not for --help
    from bellcast.settings.table import ServerSettings

# Loggers with `info` lines that matter only when debugging them.
QUIET_LOGGERS = ("uvicorn.error", "httpx", "httpcore", "asyncio", "mcp")
# In an outage of PostgreSQL, asyncpg logs a traceback for each attempt to connect. Each user of the store logs a line.
POOL_LOGGER = "asyncpg.pool"


# Lines of one event per period. A client whose calls fail causes 200 a second, each with a traceback.
MAX_LINES, PERIOD_SECONDS = 100, 10.0
# In an outage each loop repeats its warning: one with an equal reason is written once in this time. Maximum of compared
# warnings.
REPEAT_SECONDS, MAX_COMPARED = 60.0, 1_000
ACCESS_LINES = ("request_served", "connection_", "session_")  # those of BELLCAST_ACCESS_LOG, which asks for all


def limit_lines(now: Callable[[], float] = time.monotonic) -> Processor:
    """Return a processor that drops lines of an event beyond MAX_LINES in a period, and warnings with a reason that
    repeat one of the last REPEAT_SECONDS. The last line of an event in a period says so, and the next line of an event
    or a text how many were dropped. Of more than MAX_COMPARED texts, those whose last line is the oldest are not
    compared."""
    periods: dict[str, tuple[float, int]] = {}  # the time of an event's first line, and the number of lines
    # The times of lines, and how many equal ones were dropped since, by the hashes of their texts, which may be long.
    reasons: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def limit(_: WrappedLogger, level: str, line: EventDict) -> EventDict:
        event, at = line["event"], now()
        if event.startswith(ACCESS_LINES):
            return line
        skipped = 0
        if "reason" in line and level != "info":
            text = hash(str({**line, "retry_in": None}))
            written_at, skipped = reasons.get(text, (-math.inf, 0))
            if at - written_at < REPEAT_SECONDS:
                reasons[text] = (written_at, skipped + 1)
                raise structlog.DropEvent
            reasons[text] = (at, 0)
            reasons.move_to_end(text)
            if len(reasons) > MAX_COMPARED:
                reasons.popitem(last=False)
        since, lines = periods.get(event, (at, 0))
        if at - since >= PERIOD_SECONDS:
            skipped += max(lines - MAX_LINES, 0)
            since, lines = at, 0
        if lines >= MAX_LINES:
            periods[event] = (since, lines + 1 + skipped)
            raise structlog.DropEvent
        periods[event] = (since, lines + 1)
        if skipped:
            line["skipped"] = skipped
        if lines == MAX_LINES - 1:
            line["limit"] = f"further lines of this event are skipped for {PERIOD_SECONDS:.0f} s"
        return line

    return limit


class StderrStream:
    """A stream to stderr that ignores errors, so that no operation fails because its log line cannot be written."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(server: "ServerSettings") -> None:
    """Configure logging from the settings."""
    level = logging.getLevelNamesMapping()[server.log_level.upper()]
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Tracebacks without local variables, which may contain secrets.
        structlog.processors.StackInfoRenderer(),
    ]
    renderers: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if server.log_format != "json":
        # rich knows the variables for colours. Without a terminal, it is not imported.
        colours = sys.stderr.isatty() and output.err().is_terminal and not output.err().no_color
        plain = structlog.dev.plain_traceback
        renderers = [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, sort_keys=False)]
    structlog.configure(
        processors=[limit_lines(), *processors, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, StderrStream())),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = logging.StreamHandler(StderrStream())
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger(POOL_LOGGER).setLevel(level if level == logging.DEBUG else logging.ERROR)
