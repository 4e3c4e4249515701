"""Rate limit for connection tests."""

import math

from bellcast.kernel.errors import TooMany
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, guards

# A test calls a server, which the request can name, for up to 15 s, and may send a message. The limit is per caller.
TESTS_PER_MINUTE = 10
MINUTE_SECONDS = 60


def count(request: ApiRequest) -> None:
    """Count a test of the caller. Raises TooMany."""
    ctx, caller = context.of(request), guards.caller(request)
    # A token bucket refills within a second, so it gets a clock that is 60 times slower.
    now = ctx.engines.clock.now() // MINUTE_SECONDS
    wait = ctx.connection_tests.take(f"{caller.operator or ''} {caller.key or ''}", TESTS_PER_MINUTE, now)
    if wait:
        raise TooMany(
            f"You may run {TESTS_PER_MINUTE} tests a minute.", retry_after=max(1, math.ceil(wait * MINUTE_SECONDS))
        )
