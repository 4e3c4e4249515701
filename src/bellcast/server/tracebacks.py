"""Log tracebacks in an app in which Bellcast is mounted."""

import sys

import structlog


def hide_locals() -> None:
    """Log tracebacks without local variables, unless the app has configured structlog. With rich installed, structlog
    prints them by default, and those of a request include its credentials."""
    if structlog.is_configured():
        return
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    *processors, _ = structlog.get_config()["processors"]  # the last processor is the default ConsoleRenderer
    structlog.configure(processors=[*processors, console])
