"""Fuzzing of positions: the value of `Last-Event-ID` or `position`."""

from hypothesis import strategies as st

from bellcast.inbox.types.inboxes import ResumeFrom, parse_position
from bellcast.kernel.identities import Principal
from tests.fuzz.conftest import Api
from tests.fuzz.runner import fuzz

SEEDS = [
    "", "-", "0-0", "1-2-3", "1-2-3-4", "1-0-0.0.0", "1-2-3.4.5.6.7", "1-2-3.ffffffffffffffff.1", "ffffffffffffffffffff-1", "1-ffffffffffffffffffff", "7fffffffffffffff-7fffffffffffffff",
    "8000000000000000-0", "-1-1", "1--1", "+1-1", "1_0-1", "0x1-1", " 1-1", "1-1\n", "١-١", "1-1-7fffffffffffffff", "f" * 10_000,
]  # fmt: skip
POSITIONS = st.from_regex(r"[0-9a-fA-F_+ .-]{0,40}", fullmatch=True) | st.text(max_size=40) | st.sampled_from(SEEDS)


def test_positions_are_unknown_or_usable_by_the_store(api: Api) -> None:
    def check(text: str) -> None:
        position = parse_position(text)
        if position is None:
            return
        assert parse_position(position.text) == position
        now, inboxes = api.rest.clock.now(), api.rest.store.inboxes
        opened = api.run(inboxes.open(Principal(recipient="alice", issued_at=now), now, ResumeFrom(position, 10)))
        assert opened.inbox.state.recipient == "alice"

    fuzz("positions", POSITIONS, check, SEEDS)
