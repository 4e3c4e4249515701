"""How often a caller may test connections with values of its request."""

import math

from bellcast.api import context, guards
from bellcast.api.request_body import ApiRequest
from bellcast.errors import TooMany

# Each calls servers that the request names, for up to 15 s. One operator's tests do not use up another's.
TESTS_PER_MINUTE = 10
MINUTE_SECONDS = 60


def count(request: ApiRequest) -> None:
    """Count a test of the caller. Raises TooMany."""
    ctx, caller = context.of(request), guards.caller(request)
    # A bucket refills within a second: its clock runs slower by a minute's seconds.
    now = ctx.engines.clock.now() // MINUTE_SECONDS
    wait = ctx.connection_tests.take(f"{caller.operator or ''} {caller.key or ''}", TESTS_PER_MINUTE, now)
    if wait:
        raise TooMany(
            f"You may run {TESTS_PER_MINUTE} tests a minute.", retry_after=max(1, math.ceil(wait * MINUTE_SECONDS))
        )
