"""Tracebacks of the loggers in an app that Bellcast is mounted in."""

import sys

import structlog


def hide_locals() -> None:
    """Log tracebacks without local variables unless the app has configured structlog: with rich installed, structlog's
    default prints them, and those of a request include its credentials."""
    if structlog.is_configured():
        return
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    *processors, _ = structlog.get_config()["processors"]  # the last one is the default's ConsoleRenderer
    structlog.configure(processors=[*processors, console])
