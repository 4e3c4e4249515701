"""Topics that a Socket.IO connection joined."""

from types import SimpleNamespace
from typing import Any, cast

from bellcast.live.socketio.joined_topics import ConnectionTopics


class Names(list[str]):
    """Names that are too many to be searched for each joined topic."""

    def __contains__(self, name: object) -> bool:
        raise AssertionError(f"all names were searched for {name}")


async def test_many_unfollowed_names_are_not_searched_for_each_joined_topic() -> None:
    """The search for 100 joined topics in a message of 1 MB took half a second."""
    topics = ConnectionTopics(cast(Any, None), cast(Any, None), cast(Any, None), cast(Any, None))
    connection: Any = SimpleNamespace(joined_topics={"a": True, "b": False}, resumable=False)
    await topics.unfollow(connection, Names(["b", "c"]))
    assert connection.joined_topics == {"a": True}
