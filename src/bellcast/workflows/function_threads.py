"""Threads for the app's functions that are not `async def`. asyncio's own threads also resolve host names and check
passwords, so functions that hang must not use them up."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

# Maximum concurrent functions; others wait. They mostly wait for the app's database and other servers.
FUNCTION_THREADS = 64

_threads = ThreadPoolExecutor(FUNCTION_THREADS, thread_name_prefix="bellcast-function")


async def call(function: Callable[..., Any], argument: Any) -> Any:
    """Call a function in a thread, with the context variables of the caller."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(context.run, function, argument))
