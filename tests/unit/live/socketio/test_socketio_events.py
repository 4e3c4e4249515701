"""Events that need no handler."""

from bellcast.live.native import protocol
from bellcast.live.socketio.namespaces import BUILTIN_EVENTS


def test_builtin_events_are_the_commands_without_calls_with_a_field_of_theirs() -> None:
    commands = {str(one.__struct_config__.tag): one.__struct_fields__ for one in protocol.COMMANDS}
    assert BUILTIN_EVENTS.keys() == commands.keys() - {"call"}
    assert {name for name, field in BUILTIN_EVENTS.items() if field and field not in commands[name]} == set()
