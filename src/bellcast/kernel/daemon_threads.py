"""Threads for calls that block and may never return. An executor's threads would delay the end of the process, and a few calls
that hang would keep them from all others."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

T = TypeVar("T")

# Maximum concurrent calls of one function of the app; others wait. They mostly wait for the app's database and other servers.
FUNCTION_THREADS = 64
# Those of one tenant: half, so that its calls that hang leave the others.
TENANT_THREADS = FUNCTION_THREADS // 2

# By function, and by function and tenant, while calls use them.
FreeThreads = WeakValueDictionary[tuple[Any, ...], asyncio.Semaphore]
_free_threads = WeakKeyDictionary[asyncio.AbstractEventLoop, FreeThreads]()


def start(name: str, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
    """Call a function in a daemon thread of its own. The call continues if the future is cancelled."""
    loop = asyncio.get_running_loop()
    returned: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if returned.cancelled():
            return
        if error is not None:
            returned.set_exception(error)
        else:
            returned.set_result(result)  # type: ignore[arg-type]  # None only if T includes it

    def call() -> None:
        result, error = None, None
        try:
            result = function(*args)
        except Exception as raised:  # noqa: BLE001  the waiting call raises it
            error = raised
        except SystemExit:
            error = RuntimeError("The function called sys.exit().")
        if isinstance(error, StopIteration):
            error = RuntimeError("The function raised StopIteration.")  # a future refuses it
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=call, name=name, daemon=True).start()
    return returned


async def call_function(function: Callable[..., Any], argument: Any, tenant: str | None = None) -> Any:
    """Call a function of the app for a tenant, with the context variables of the caller. Calls of a function that hangs delay no
    other function, and those of one tenant no other tenant: a call that is cancelled keeps its thread until the function returns."""
    known = _free_threads.setdefault(asyncio.get_running_loop(), FreeThreads())
    of_tenant = known.setdefault((function, tenant), asyncio.Semaphore(TENANT_THREADS))
    of_all = known.setdefault((function,), asyncio.Semaphore(FUNCTION_THREADS))
    await of_tenant.acquire()
    try:
        await of_all.acquire()
    except asyncio.CancelledError:
        of_tenant.release()
        raise
    call = start("bellcast-function", contextvars.copy_context().run, function, argument)

    def finish(ended: asyncio.Future[Any]) -> None:
        of_tenant.release()
        of_all.release()
        ended.exception()  # avoids a warning after a timeout, when nothing reads the result

    call.add_done_callback(finish)
    return await asyncio.shield(call)
