"""Logging: lines for a person or JSON for a collector, from us and from what we run on, all on stderr."""

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.typing import Processor

from bellcast.cli import console

if TYPE_CHECKING:  # a type only: this room is imported by commands that have the settings already
    from bellcast.settings.groups import ServerSettings

# What these tell at `info` is for who debugs them; a person wants what went wrong.
QUIET = ("uvicorn.error", "httpx", "httpcore", "asyncio")


class StderrStream:
    """Where logs go. Lines that cannot be written are lost: no work fails for its log line, as on a full disk."""

    def write(self, text: str) -> None:
        """Write if it can be written."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """As `write`."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(server: "ServerSettings") -> None:
    """Configure logging from the settings."""
    level = logging.getLevelNamesMapping()[server.log_level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Texts without locals: a traceback's variables hold secrets.
        structlog.processors.StackInfoRenderer(),
    ]
    last = _json() if server.log_format == "json" else _console()
    structlog.configure(
        processors=[*before, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, StderrStream())),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(StderrStream())
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _console() -> list[Processor]:
    colours = console.err.is_terminal and not console.err.no_color
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, sort_keys=False)]
