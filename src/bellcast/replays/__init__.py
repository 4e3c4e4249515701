"""Failed messages, failed runs and dead jobs: their causes, and replays that retry them by filter."""

from bellcast.replays.failures import FailureFilter, Failures
from bellcast.replays.replays import ReplayRunner

__all__ = ["FailureFilter", "Failures", "ReplayRunner"]
