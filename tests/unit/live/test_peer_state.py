"""The state of another node, from messages of which some are lost."""

from bellcast.live.cluster.peer import PeerState
from bellcast.live.types.events import PeerUpdate


def part(number: int, piece: int, **counts: int) -> PeerUpdate:
    return PeerUpdate("other", number, counts, piece=piece, pieces=2)


def test_snapshot_is_requested_again_if_its_last_part_is_lost() -> None:
    peer = PeerState()
    peer.apply(part(1, 0, a=1))
    assert not peer.is_unsynchronized
    peer.apply(PeerUpdate("other", 3, {"b": 2}))
    assert peer.is_unsynchronized
