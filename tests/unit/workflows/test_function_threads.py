"""Functions of the app run in threads of a separate pool, with the caller's context."""

import contextvars
import threading
from typing import Any

from bellcast.workflows import function_threads

NAME = contextvars.ContextVar("NAME", default="none")


async def test_function_runs_apart_from_the_threads_of_asyncio() -> None:
    NAME.set("alice")

    def function(argument: Any) -> tuple[str, str, Any]:
        return threading.current_thread().name, NAME.get(), argument

    thread, name, argument = await function_threads.call(function, 7)
    assert thread.startswith("bellcast-function")
    assert (name, argument) == ("alice", 7)
