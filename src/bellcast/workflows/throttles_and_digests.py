"""The rules of the steps that count runs: a throttle lets some pass, a digest merges those that reach it while it is open."""

import msgspec
from msgspec import Struct

from bellcast.workflows.engine import StepOutcome
from bellcast.workflows.types import step_counters
from bellcast.workflows.types.runs import MAX_RUN, Digest, RunState
from bellcast.workflows.types.step_counters import StepCounter

# Bytes of a run reserved for the steps after a digest.
DIGEST_RESERVE = 16 * 1024


def throttle(counter: StepCounter, limit: int, window: int, now: int) -> tuple[StepCounter, bool]:
    """Count a run; return whether it passes."""
    recent = tuple(at for at in counter.passed if at > now - window)
    if len(recent) >= limit:
        return StepCounter(passed=recent), False
    return StepCounter(passed=(*recent, now)), True


class DigestRules(Struct, frozen=True, kw_only=True):
    """Rules of a digest, with times in milliseconds. `closes_at` is the end of a digest that opens now."""

    mode: str
    window: int
    max_window: int | None
    closes_at: int


def collect(
    counter: StepCounter, rules: DigestRules, id: str, run: RunState, now: int
) -> tuple[StepCounter | None, StepOutcome]:
    """Return a run that reaches a digest: it opens one, or adds itself and is merged. Also returns the counter (None:
    delete)."""
    if counter.run == id:
        if counter.closes_at > now:
            closes_at = min(counter.closes_at, rules.closes_at)  # longer if the clock was ahead when it opened
            waiting = StepOutcome(state="waiting", due_at=closes_at, planned_at=now)
            return msgspec.structs.replace(counter, closes_at=closes_at), waiting
        after = StepCounter(opened_at=now, closes_at=now + rules.window) if rules.mode == "repeats" else None
        collected = step_counters.in_order(counter)
        return after, StepOutcome(digest=None if collected is None else _fitting(collected, run))
    if counter.run is not None and counter.digest is not None:
        closes_at = counter.closes_at
        if rules.mode == "sliding":
            latest = counter.opened_at + rules.max_window if rules.max_window is not None else None
            extended = now + rules.window
            closes_at = max(closes_at, extended if latest is None else min(extended, latest))
        changed = step_counters.with_run(counter, counter.digest, id, run)
        changed = msgspec.structs.replace(changed, closes_at=closes_at)
        return changed, StepOutcome(ends_run="merged", reason=counter.run)
    own = step_counters.own_digest(run)
    if rules.mode == "repeats" and counter.closes_at <= now:
        passed = StepCounter(opened_at=now, closes_at=now + rules.window)
        return passed, StepOutcome(digest=_fitting(own, run))
    closes_at = counter.closes_at if rules.mode == "repeats" else rules.closes_at
    opened = StepCounter(run=id, opened_at=now, closes_at=closes_at, digest=own, runs=(id,))
    return opened, StepOutcome(state="waiting", due_at=closes_at, planned_at=now)


def _fitting(digest: Digest, run: RunState) -> Digest:
    """Return the digest with as many items as fit into the run."""
    free_bytes = MAX_RUN - DIGEST_RESERVE - len(msgspec.json.encode(run)) - len(msgspec.json.encode(digest.actors))
    # the earlier runs have left the digest; its item had exceeded the limit together with theirs
    items = digest.items or (run.data,)
    return msgspec.structs.replace(digest, items=step_counters.within(items, free_bytes))
