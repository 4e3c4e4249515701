"""Checks of a running server."""

from collections.abc import AsyncGenerator
from typing import Protocol

from bellcast.model.doctor_findings import Finding


class Doctor(Protocol):
    """Checks the server from inside."""

    def findings(self) -> AsyncGenerator[Finding]:
        """Yield the finding of each check when it ends, within a bounded time. Raises TooMany while another run is in progress."""
        ...
