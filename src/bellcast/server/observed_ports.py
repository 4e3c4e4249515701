"""A port decorator that emits feed events: calls of clients."""

from typing import Any

from bellcast.calls import Call, CallBackend, Refused
from bellcast.console.types.live_feed import Feed, FeedEvent, redact
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError


class ObservedCalls:
    """A call backend that emits a feed event for each call, with its outcome and duration."""

    def __init__(self, backend: CallBackend, feed: Feed, clock: Clock) -> None:
        self._backend = backend
        self._feed = feed
        self._clock = clock
        self.has, self.has_namespace = backend.has, backend.has_namespace  # called for every connection

    async def dispatch(self, call: Call) -> Any:
        started, outcome = self._clock.now(), "failed"
        try:
            reply = await self._backend.dispatch(call)
            outcome = "ok"
        except BellcastError as error:
            outcome = error.code
            raise
        except Refused:
            outcome = "refused"
            raise
        finally:
            self._emit(call, outcome, self._clock.now() - started)
        return reply

    def _emit(self, call: Call, outcome: str, milliseconds: int) -> None:
        fields: dict[str, Any] = {"name": call.name, "outcome": outcome, "ms": milliseconds, "protocol": call.dialect}
        if self._feed.is_watched:
            fields["data"] = redact(call.args)
        self._feed.emit(
            FeedEvent(
                kind="call",
                at=self._clock.now(),
                text=f"{call.name}: {outcome}",
                tenant=call.tenant or "",
                recipient=call.recipient,
                connection=call.connection,
                fields=fields,
            )
        )
